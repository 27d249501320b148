"""One process of the operating system: which one it is, whether it lives, and how it is started."""

import logging
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from penstock.config import child_environment
from penstock.errors import ServiceError
from penstock.launcher.service import Service

log = logging.getLogger(__name__)

MARKER = "LAUNCHED_BY_PENSTOCK"
"""Environment variable of every process we start, inherited by what it starts: `owner`. Not a setting."""

SUPERVISOR = "supervisor"

# Start times come in ticks of 10 ms (Linux) or finer; half a tick tells them apart.
_TICK_S = 0.005


@dataclass(frozen=True)
class Process:
    """Identifies one process: its pid alone does not, because the system gives the pid to another process later.

    `started_s` is counted from the boot, because the wall clock may be set meanwhile. Two boots have different
    `boot_id`s.
    """

    pid: int
    started_s: float

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this pid now; None when there is none."""
        try:
            return cls(pid, _started_s(psutil.Process(pid)))
        except psutil.NoSuchProcess:
            return None

    @classmethod
    def current(cls) -> Self:
        return cls(os.getpid(), _started_s(psutil.Process()))

    def alive(self) -> bool:
        """Whether it runs. A zombie does not: only its exit code is left."""
        try:
            found = psutil.Process(self.pid)
            return abs(_started_s(found) - self.started_s) < _TICK_S and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Signals it, or the process group that it leads; a process that is gone is no error."""
        if not self.alive():
            return
        try:
            if group and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # it ended since we looked
        except PermissionError as error:
            log.warning("process %s may not be sent %s: %s", self.pid, number.name, error)


def owner(service: str, home: Path) -> str:
    """The value of `MARKER` for one service of one home."""
    return f"{service}@{home}"


def is_of(marker: str, home: Path) -> bool:
    """Whether a value of `MARKER` is that of some service of this home."""
    return marker.partition("@")[2] == str(home)


def boot_id() -> str:
    """Names this run of the machine, so that pids recorded before a reboot are not taken for today's."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""  # elsewhere a start time counted from boot, plus the name of the boot, is not to be had


def spawn(service: Service, home: Path) -> subprocess.Popen[bytes]:
    """Starts the server in a session of its own: nothing to read, its output appended to its log.

    Raises:
        ServiceError: the command cannot be executed.
    """
    service.folder.mkdir(parents=True, exist_ok=True)
    environment = child_environment({**service.environment, MARKER: owner(service.name, home)})
    try:
        with service.log.open("ab") as output:
            return subprocess.Popen(
                service.command,
                cwd=service.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise ServiceError(f"{service.name} could not be started: {service.command[0]}: {error}") from error


def run_detaching(command: Sequence[str], environment: Mapping[str, str], folder: Path, log_file: Path) -> int:
    """Runs a command that leaves a process of its own behind; returns its exit code once it has detached itself."""
    with log_file.open("ab") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            env=child_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
        )
    return done.returncode


def spawn_listening(command: Sequence[str], environment: Mapping[str, str], log_file: Path) -> subprocess.Popen[bytes]:
    """Starts a command in a session of its own that reads from us, and from nobody else.

    Raises:
        ServiceError: it cannot be executed.
    """
    try:
        with log_file.open("ab") as output:
            return subprocess.Popen(
                command,
                env=child_environment(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                bufsize=0,
            )
    except OSError as error:
        raise ServiceError(f"{command[0]} could not be started: {error}") from error


def _started_s(process: psutil.Process) -> float:
    return round(process.create_time() - psutil.boot_time(), 2)
