"""The manifest of a backup: its first member, which lists every file after it with its sha256."""

import json
from importlib import metadata
from pathlib import PurePosixPath
from typing import Annotated, Self

from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from penstock import extras
from penstock.errors import BackupError
from penstock.servers import postgres
from penstock.servers.jars.locked import version_of
from penstock.servers.spark import SCALA

FILE_NAME = "penstock-backup.json"
"""Of the manifest in the archive."""
FORMAT = 1
"""Goes up when an older Penstock could not restore what a newer one writes."""
DECLARATIONS = "data/declarations"
"""Where the project's declarations are kept, for a person to look at: restoring them executes none."""

_ROOTS = frozenset({"data", "logs", "secrets.json"})
MODES = 0o755
"""Nothing of a home may be written by others, or runs as somebody else."""


def _inside(path: str) -> str:
    parts = path.split("/")
    if path != str(PurePosixPath(path)) or ".." in parts or "\0" in path or "\\" in path or parts[0] not in _ROOTS:
        raise ValueError(f"{path!r} is no place in a home")
    return path


Inside = Annotated[str, AfterValidator(_inside)]


def _version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersion as error:
        raise ValueError(f"{text!r} is no version") from error
    return text


Number = Annotated[str, AfterValidator(_version)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Folder(_Frozen):
    """One folder: Postgres needs empty ones too."""

    path: Inside
    mode: int = Field(ge=0, le=MODES)


class Member(_Frozen):
    """One file."""

    path: Inside
    mode: int = Field(ge=0, le=MODES)
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(_Frozen):
    """The versions and the kind of the stack, the time, and each file with its sha256."""

    format: int
    versions: dict[str, Number]
    """Of Penstock and its servers, as `current_versions` names them."""
    stack: str
    """As `servers.data_format` keeps it."""
    taken_at: AwareDatetime
    suspended_s: float = Field(ge=0)
    """How long the stack stood still for it."""
    folders: tuple[Folder, ...]
    members: tuple[Member, ...]

    @property
    def size_bytes(self) -> int:
        return sum(member.size for member in self.members)

    @property
    def declarations(self) -> tuple[str, ...]:
        """Names of the files of declarations."""
        found = (PurePosixPath(member.path) for member in self.members)
        return tuple(path.name for path in found if str(path.parent) == DECLARATIONS)

    @model_validator(mode="after")
    def _each_in_its_place(self) -> Self:
        paths = [*(folder.path for folder in self.folders), *(member.path for member in self.members)]
        if len(set(paths)) != len(paths):
            raise ValueError("a path stands twice in it")
        folders = {folder.path for folder in self.folders}
        homeless = [path for path in paths if "/" in path and path.rpartition("/")[0] not in folders]
        if homeless:
            raise ValueError(f"the folder of {homeless[0]} is not in it")
        return self


def current_versions() -> dict[str, str]:
    """The versions of everything that reads the data: a newer one may write what an older one cannot read."""
    return {
        "penstock": metadata.version("penstock"),
        "kafka": version_of("kafka", f"kafka_{SCALA}"),
        "kafka with zookeeper": version_of("zookeeper", f"kafka_{SCALA}"),
        "cassandra": version_of("cassandra", "cassandra-all"),
        "spark": extras.version("pyspark"),
        "airflow": extras.version("apache-airflow"),
        "postgres": str(postgres.MAJOR),
    }


def parsed(text: bytes, name: str) -> Manifest:
    """The manifest of the archive `name`.

    Raises:
        BackupError: the text is none, or something newer than what is here wrote the backup; names every such part.
    """
    try:
        found = json.loads(text)
        if isinstance(found, dict) and isinstance(number := found.get("format"), int) and number > FORMAT:
            raise BackupError(
                f"{name} has format {number}, and this Penstock ({metadata.version('penstock')}) reads up to {FORMAT}. "
                "Restore it with the Penstock that wrote it, or a newer one. Nothing was restored"
            )
        manifest = Manifest.model_validate(found)
    except ValueError as error:  # of JSON, and of pydantic
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise BackupError(
            f"{name} is damaged, or no backup of Penstock: its {FILE_NAME} cannot be used ({where}: {first['msg']}). "
            "Nothing was restored"
        ) from error
    _check_versions(manifest, name)
    return manifest


def _check_versions(manifest: Manifest, name: str) -> None:
    here = current_versions()
    newer = [
        f"{part} {then} (here {here[part]})"
        for part, then in manifest.versions.items()
        if part in here and Version(then) > Version(here[part])
    ]
    if newer:
        raise BackupError(
            f"{name} was written by newer parts than this Penstock has: {', '.join(newer)}. Restore it with Penstock "
            f"{manifest.versions.get('penstock', 'of that day')} or a newer one. Nothing was restored"
        )
