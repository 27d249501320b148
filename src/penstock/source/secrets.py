"""Where a named secret is found when a run needs it: the one place that reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from penstock.config import SourceSettings, variable
from penstock.errors import ConfigError

_FILE, _AIRFLOW = "file:", "airflow:"


@dataclass(frozen=True)
class Secrets:
    """The secrets of a source, read anew each time: a file or a connection may be changed while we run."""

    given: Mapping[str, SecretStr] = field(default_factory=dict, repr=False)
    """The setting `source.secrets`, which wins."""
    environment: Callable[[str], str | None] = variable
    connection: Callable[[str], str | None] | None = None
    """The password of Airflow's connection of that name; None outside of Airflow."""

    @classmethod
    def of(cls, settings: SourceSettings, connection: Callable[[str], str | None] | None = None) -> "Secrets":
        return cls(settings.secrets, connection=connection)

    def read(self, name: str) -> str:
        """The secret.

        Raises:
            ConfigError: there is none of this name, or it is none that a header could carry.
        """
        found = self.given[name].get_secret_value() if name in self.given else self._found(name)
        if not found:
            raise ConfigError(f"the source's secret {name} is empty or not there. {_remedy(name)}")
        if not found.isprintable():
            raise ConfigError(
                f"the source's secret {name} holds characters that no request can carry, e.g. a line break"
            )
        return found

    def is_elsewhere(self, name: str) -> bool:
        """Whether only Airflow's tasks can read the secret, and this is none."""
        return name.startswith(_AIRFLOW) and name not in self.given and self.connection is None

    def _found(self, name: str) -> str | None:
        if name.startswith(_FILE):
            return _content(Path(name.removeprefix(_FILE)))
        if not name.startswith(_AIRFLOW):
            return self.environment(name)
        if self.connection is None:
            raise ConfigError(
                f"the source's secret {name} is Airflow's, and only its tasks can read it. {_remedy(name)}"
            )
        return self.connection(name.removeprefix(_AIRFLOW))


def _content(file: Path) -> str:
    try:
        return file.expanduser().read_text("utf-8").strip()
    except (OSError, ValueError, RuntimeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"the source's secret {_FILE}{file} cannot be read: {cause}") from None


def _remedy(name: str) -> str:
    setting = f"Or give it by the setting source.secrets: {name!r} in its table of penstock.toml"
    if name.startswith((_FILE, _AIRFLOW)):
        return setting
    return (
        f"Set the environment variable {name}; the local stack passes it on if stack.pass_environment names it. "
        f"{setting}"
    )
