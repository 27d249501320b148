"""The one folder that a stack lives in: what stands where, who may look, and what may be deleted."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from penstock.config import Settings
from penstock.errors import ConfigError, ServiceError

_SIGN = ".penstock-home"
# What we put into a home; a folder that holds anything else is somebody's own.
_OURS = {_SIGN, "certificates", "data", "logs", "run", "secrets.json"}
_DELETABLE = ("data", "logs", "run")
_FULL_BYTES = 16 * 1024 * 1024
"""A disk with less room than this is full: what a server wrote when it died was larger, or not much smaller."""


_SAFE = frozenset("/._-+@=~ ()")
"""Signs that mean themselves wherever a path is pasted, beside letters and digits of any script."""


def check_paths(settings: Settings) -> None:
    """Refuses folders whose path means something else in a file or a list that a server reads.

    Raises:
        ConfigError: names the first such character.
    """
    folders = {
        "home": (settings.home, "name another folder: PENSTOCK_HOME"),
        "cache": (settings.cache, "name another folder: PENSTOCK_CACHE"),
        "the installation": (Path(sys.prefix), "install Penstock in another folder"),
        "the checkout": (Path(__file__).parents[3], "move it to another folder, and set it up there"),
    }
    for name, (folder, remedy) in folders.items():
        odd = next((sign for sign in str(folder) if sign not in _SAFE and not sign.isalnum()), None)
        if odd is not None:
            raise ConfigError(
                f"{name} is {str(folder)!r}, whose path has the character {odd!r}: the settings of Kafka, Cassandra, "
                f"Airflow, Spark and Java would read it as something else. Please {remedy}"
            )


@dataclass(frozen=True)
class Home:
    """Paths inside one home. Making one touches nothing."""

    path: Path

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def state(self) -> Path:
        """The supervisor's record of its services."""
        return self.run / "state.json"

    @property
    def request(self) -> Path:
        """The latest request to the supervisor: which services shall run."""
        return self.run / "request.json"

    @property
    def settings(self) -> Path:
        """The settings of each process that reads some; there while the stack runs."""
        return self.run / "settings"

    @property
    def restoring(self) -> Path:
        """There while a backup is being restored; nothing starts in a home that has it."""
        return self.path / ".restoring"

    @property
    def supervisor(self) -> Path:
        """Names the supervisor's process; the file outlives it."""
        return self.run / "supervisor.json"

    @property
    def watchdog(self) -> Path:
        """Names the watchdog's process; the file outlives the supervisor, and is called as in earlier versions."""
        return self.run / "guardian.json"

    @property
    def supervisor_lock(self) -> Path:
        """Locked for as long as a supervisor lives."""
        return self.run / "supervisor.lock"

    @property
    def up_lock(self) -> Path:
        """Locked while a command asks for something."""
        return self.run / "up.lock"

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def full_disk(self, service: str) -> str:
        """The cause to name when a service ends and the disk of its data is full; else empty."""
        place = self.path / "data" / service
        if not place.exists() or shutil.disk_usage(place).free >= _FULL_BYTES:
            return ""
        return f". The disk of {place} is full: make room there"

    def make(self) -> None:
        """Creates the folder, for its owner's eyes only, and signs it as ours; does nothing when that was done.

        Raises:
            ServiceError: the folder holds something else; signing it would let `delete_data` loose on it.
        """
        if self.restoring.exists():
            raise ServiceError(f"a restore into {self.path} did not end: run `penstock restore` again, it begins anew")
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        sign = self.path / _SIGN
        if not sign.exists():
            foreign = sorted({entry.name for entry in self.path.iterdir()} - _OURS)
            if foreign:
                raise ServiceError(
                    f"{self.path} is not a Penstock home: it holds {', '.join(foreign[:5])}. "
                    "Set PENSTOCK_HOME to an empty or a new folder"
                )
            self.path.chmod(0o700)
            sign.touch()
        for folder in (self.run, self.logs):
            folder.mkdir(exist_ok=True)

    def make_empty(self) -> None:
        """Makes the folder for a restore; clears away one that did not end. Nothing starts while `restoring` is there.

        Raises:
            ServiceError: it holds more than `delete_data` leaves, secrets and certificates.
        """
        if self.restoring.exists():
            for name in (*_DELETABLE, "secrets.json", self.restoring.name):
                part = self.path / name
                shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        held = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        if foreign := sorted(held - (_OURS - {*_DELETABLE})):
            raise ServiceError(
                f"{self.path} is not empty: it holds {', '.join(foreign[:5])}. Name an empty or a new folder (--home), "
                "or, where it is a stack that you no longer need, delete its data first: penstock down --delete-data"
            )
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.restoring.mkdir(mode=0o700)

    def delete_data(self) -> None:
        """Deletes what the servers stored, their logs and the state; keeps secrets and everything outside.

        Raises:
            ServiceError: the folder is not signed as ours, or a part of it is a link to somewhere else.
        """
        if not self.path.exists():
            return
        if not (self.path / _SIGN).exists():
            raise ServiceError(f"{self.path} is not a Penstock home (it has no {_SIGN}): nothing was deleted")
        parts = [self.path / name for name in _DELETABLE]
        linked = [part for part in parts if part.is_symlink()]
        if linked:
            raise ServiceError(f"{linked[0]} links to {linked[0].resolve()}: nothing was deleted. Delete it by hand")
        for part in parts:
            if part.exists():
                shutil.rmtree(part)
