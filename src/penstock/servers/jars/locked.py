"""The committed locks: for each set of jars, its files by coordinates, sha256 and size."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

_LOCK = ".lock.toml"
_FILES = (file.name for file in resources.files(__package__).iterdir())
SETS = tuple(sorted(name.removesuffix(".toml") for name in _FILES if name.endswith(".toml") and _LOCK not in name))
"""Names of the sets of jars: a set is declared by its file."""


@dataclass(frozen=True)
class Jar:
    """One locked file. `classifier` is empty for most; natives have one."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    size_bytes: int

    def __str__(self) -> str:
        parts = (self.group, self.artifact, self.version, self.classifier)
        return ":".join(part for part in parts if part)

    @property
    def file_name(self) -> str:
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.jar"

    @property
    def remote_path(self) -> str:
        """Where a Maven repository keeps it: https://maven.apache.org/repository/layout.html"""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file_name}"

    def path(self, folder: Path) -> Path:
        """Where our cache keeps it; the group keeps equal file names of different groups apart."""
        return folder / self.group / self.file_name


def spec_file(name: str) -> Traversable:
    """The declaration of a set, in jgo's format."""
    return resources.files(__package__) / f"{name}.toml"


def lock_file(name: str) -> Traversable:
    """The lock of a set, in jgo's format plus `size_bytes`."""
    return resources.files(__package__) / f"{name}{_LOCK}"


@cache
def locked(name: str) -> tuple[Jar, ...]:
    """The jars of one of `SETS`, in the order of the class path."""
    entries = tomllib.loads(lock_file(name).read_text("utf-8"))["dependencies"]
    return tuple(
        Jar(
            entry["groupId"],
            entry["artifactId"],
            entry["version"],
            entry.get("classifier", ""),
            entry["sha256"],
            entry["size_bytes"],
        )
        for entry in entries
    )


def version_of(name: str, artifact: str) -> str:
    """The locked version of a jar of one of `SETS`."""
    return next(jar.version for jar in locked(name) if jar.artifact == artifact)


def jars_of(names: Iterable[str]) -> tuple[Jar, ...]:
    """All jars of these sets, each once."""
    return tuple(dict.fromkeys(jar for name in names for jar in locked(name)))


def missing(jars: Iterable[Jar], folder: Path) -> tuple[Jar, ...]:
    """The jars that `folder` does not hold.

    Only name and size are compared: a file gets its name after its sha256 was checked and its bytes were synced.
    """
    return tuple(jar for jar in jars if not _is_whole(jar.path(folder), jar.size_bytes))


def _is_whole(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except FileNotFoundError:
        return False
