"""A network and mounts of the program's own: what is cut, slowed or mounted there is nobody else's.

Both are namespaces of Linux. They end with the last process in them, with every rule and every mount, however the
program ends. Only the control groups by which the parts are told apart are folders of the whole machine: they are
removed at the end, and those of a program that was killed by the next one.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from penstock.errors import PenstockError

NEEDED = ("unshare", "ip", "iptables", "tc")
"""Programs of util-linux, iproute2 and iptables."""
_INSIDE = "FAULTS_ISOLATED"
_PREFIX = "penstock-faults-"
PROGRAM = "program"
"""The part that is no service: this program, which publishes and checks, and the supervisor that it starts."""


def lacking() -> str:
    """Why there can be no isolation here; empty where there can."""
    absent = [name for name in NEEDED if not shutil.which(name)]
    if absent:
        return f"{', '.join(absent)} not installed"
    if os.geteuid() != 0:
        return "only root may have a network of its own"
    return "" if _hierarchy() else "no cgroup2 is mounted"


def enter(module: str, arguments: Sequence[str]) -> None:
    """Returns inside namespaces of their own: at the first call the program is executed again, within them."""
    if not os.environ.get(_INSIDE):
        os.environ[_INSIDE] = "yes"
        command = ("unshare", "--net", "--mount", "--propagation", "private", "--", sys.executable, "-m", module)
        os.execvp(command[0], (*command, *arguments))  # noqa: S606 - our own program
    run("ip", "link", "set", "lo", "up")


def run(*command: str) -> None:
    """Raises: PenstockError: the command failed; with what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PenstockError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")


class Parts:
    """A control group for each part of the stack, by which the network knows whose a connection is."""

    def __init__(self, names: Iterable[str]) -> None:
        root = _hierarchy()
        if root is None:
            raise PenstockError("no cgroup2 is mounted, so the parts of the stack cannot be told apart")
        _sweep(root)
        self._root, self.name = root, f"{_PREFIX}{os.getpid()}"
        self.folder = root / self.name
        for one in (PROGRAM, *names):
            (self.folder / one).mkdir(parents=True)
        self._own(PROGRAM)

    def path(self, part: str) -> str:
        """As iptables wants it: from the root of the hierarchy."""
        return f"{self.name}/{part}"

    def of(self, pid: int) -> str | None:
        """The part that a process belongs to; None where it is none of ours, or gone."""
        try:
            lines = Path(f"/proc/{pid}/cgroup").read_text("ascii", "replace").splitlines()
        except OSError:
            return None
        return part_in(lines, self.name)

    def close(self) -> None:
        """Raises: PenstockError: a process is still in one of them; names the folder."""
        (self._root / "cgroup.procs").write_text(str(os.getpid()))
        left = _removed(self.folder)
        if left:
            raise PenstockError(f"these control groups are left, for processes run in them: {', '.join(left)}")

    def _own(self, part: str) -> None:
        (self.folder / part / "cgroup.procs").write_text(str(os.getpid()))


def part_in(lines: Sequence[str], name: str) -> str | None:
    """The part that /proc/PID/cgroup names, of the program whose folder has that name."""
    start = f"0::/{name}/"
    return next((line.removeprefix(start).split("/")[0] for line in lines if line.startswith(start)), None)


def placed(command: Sequence[str], group: Path) -> tuple[str, ...]:
    """The command, which moves itself into the control group first; its process id stays."""
    return ("/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *command)


def _hierarchy() -> Path | None:
    for line in Path("/proc/mounts").read_text("ascii", "replace").splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None


def _sweep(root: Path) -> None:
    """Removes what a killed program left."""
    for folder in root.glob(f"{_PREFIX}*"):
        if not psutil.pid_exists(int(folder.name.removeprefix(_PREFIX))):
            _removed(folder)


def _removed(folder: Path) -> list[str]:
    """Removes a group with those in it; returns what could not be removed."""
    left = []
    for one in (*sorted(folder.glob("*/")), folder):
        try:
            one.rmdir()
        except OSError:
            left.append(str(one))
    return left
