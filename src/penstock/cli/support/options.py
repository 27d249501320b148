"""What every command has: the settings of a stack, and an example at the end of its help."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from penstock.config import Settings


def example(*lines: str) -> str:
    """The end of a command's help: what one would type."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--home` and `--port-offset` and hands it the settings that result."""

    @click.option("--home", type=click.Path(), help="Folder of the stack (PENSTOCK_HOME).")
    @click.option("--port-offset", type=int, help="Moves every port of the local stack (PENSTOCK_PORT_OFFSET).")
    @wraps(command)
    def wrapped(
        home: str | None, port_offset: int | None, stack: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        from penstock.config import read_settings

        given = {"home": home, "port_offset": port_offset, "stack": stack}
        settings = read_settings(overrides={key: value for key, value in given.items() if value is not None})
        with _usable_folders(settings):
            command(settings=settings, **options)

    return wrapped


@contextmanager
def _usable_folders(settings: "Settings") -> Iterator[None]:
    """Has an error of the system about one of our folders name the setting."""
    from penstock.errors import FolderError

    try:
        yield
    except OSError as error:
        refused = Path(str(error.filename or ""))
        for setting, folder in (("home", settings.home), ("cache", settings.cache)):
            if refused.is_absolute() and (refused.is_relative_to(folder) or folder.is_relative_to(refused)):
                raise FolderError(setting, folder, error) from error
        raise


def with_stack(command: Callable[..., None]) -> Callable[..., None]:
    """Resources what `with_settings` gives, for commands that start servers: which ones."""

    @click.option(
        "--kafka",
        type=click.Choice(["kraft", "zookeeper"]),
        help="Kafka 4 by itself, or Kafka 3.9 with a ZooKeeper (PENSTOCK_STACK_KAFKA).",
    )
    @click.option(
        "--profile",
        type=click.Choice(["single", "cluster"]),
        help="One of each server, or three brokers, three Cassandra nodes, two workers (PENSTOCK_STACK_PROFILE).",
    )
    @wraps(command)
    def wrapped(kafka: str | None, profile: str | None, **options: Any) -> None:
        given = {"kafka": kafka, "profile": profile}
        command(stack={key: value for key, value in given.items() if value is not None}, **options)

    return wrapped
