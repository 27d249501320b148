"""Everything that runs for a home, suspended for a moment: its files are then as `kill -9` of all at once leaves them.

A suspended process sends and answers nothing, so what one of them has written never knows of something that another
one was yet to do: all files together are one state of the stack, and one that it was in.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from penstock.errors import ServiceError
from penstock.launcher import process_tree
from penstock.launcher.control import locked
from penstock.launcher.home import Home
from penstock.launcher.process import Process, is_of, owner
from penstock.launcher.state import read_recorded

_STOP_TIMEOUT_S = 20.0
"""A process in the midst of writing to a slow disk is suspended when it has written."""
_POLL_S = 0.01
_STOPPED = frozenset("TtZX")
"""States of a thread that does nothing: proc_pid_stat(5)."""
_SERVERS = frozenset({"java", "postgres"})

# Reads process ids until whoever writes them ends, however that is, and lets those processes go on.
_GUARD = 'all=; while read -r pid; do all="$all $pid"; done; [ -z "$all" ] || kill -CONT $all'


@contextmanager
def suspended(home: Home) -> Iterator[int]:
    """Suspends the supervisor, the servers and all that they started; yields how many processes those are.

    They go on when the block ends, however it does. Where this process is killed, a shell lets them go on. Meanwhile no
    other command starts or stops anything.

    Raises:
        ServiceError: a process cannot be suspended, or is a server of this home that nobody recorded. All go on.
    """
    if not home.run.exists():
        yield 0
        return
    with locked(home), _guard() as guard:
        stopped: set[Process] = set()
        try:
            _suspend_all(home, stopped, guard)
            _check_strangers(home, stopped)
            yield len(stopped)
        finally:
            for process in stopped:
                process.send(signal.SIGCONT)


@contextmanager
def _guard() -> Iterator[subprocess.Popen[bytes]]:
    guard = subprocess.Popen(  # noqa: S603 - a shell with a script of ours
        ("/bin/sh", "-c", _GUARD),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us
        bufsize=0,
    )
    with guard:
        yield guard


def _suspend_all(home: Home, stopped: set[Process], guard: "subprocess.Popen[bytes]") -> None:
    """Again and again, until a look at all processes finds none that still runs: they start others meanwhile."""
    never = threading.Event()
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while True:
        found = _processes_of(home)
        new = found - stopped
        stopped |= new
        for process in new:
            _tell(guard, process)
            process.send(signal.SIGSTOP)
        running = {process for process in found if process.alive() and not _stands_still(process.pid)}
        if not new and not running:
            return
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in process_tree.sorted_by_pid(running))
            raise ServiceError(
                f"processes {pids} of the stack in {home.path} could not be suspended within {_STOP_TIMEOUT_S:.0f} s; "
                f"see `ps -o pid,stat,user,args -p {pids}`. Stop the stack for the while: penstock down"
            )
        never.wait(_POLL_S)


def _tell(guard: "subprocess.Popen[bytes]", process: Process) -> None:
    if guard.stdin:
        with suppress(BrokenPipeError):  # the guard was killed; we are not
            guard.stdin.write(f"{process.pid}\n".encode())


def _processes_of(home: Home) -> set[Process]:
    seen = process_tree.look()
    recorded = read_recorded(home)
    found = {one.process for one in seen if is_of(one.marker, home.path)}
    for service in recorded.services if recorded else ():
        found |= process_tree.belonging(seen, service.process, owner(service.name, home.path))
    parents = {one.process.pid: one.parent for one in seen}
    return {process for process in found if process.alive()} - _callers(parents)


def _callers(parents: dict[int, int]) -> set[Process]:
    """This process and all above it: who is started by a server of the stack, as a task is, cannot suspend itself."""
    pid, found = os.getpid(), set()
    while pid and (process := Process.of(pid)) and process not in found:
        found.add(process)
        pid = parents.get(pid, 0)
    return found


def _stands_still(pid: int) -> bool:
    """Whether each of its threads is stopped: one may still be in the midst of a write."""
    threads = Path(f"/proc/{pid}/task")
    try:
        if not threads.exists():  # not Linux
            return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
        texts = [(thread / "stat").read_text("utf-8", "replace") for thread in threads.iterdir()]
    except (OSError, psutil.NoSuchProcess):
        return not psutil.pid_exists(pid)  # a thread ended since we looked: the next look says
    return all(text.rpartition(")")[2].split()[0] in _STOPPED for text in texts)


def _check_strangers(home: Home, ours: set[Process]) -> None:
    """A server that `penstock serve` became is not recorded, and writes on."""
    pids = {process.pid for process in ours}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline() if process.pid not in pids and process.name() in _SERVERS else []
            if any(f"{home.path}{os.sep}" in word for word in words):
                raise ServiceError(
                    f"process {process.pid} ({process.name()}) works in {home.path} and was not started by "
                    "`penstock up`: it would write on. Stop it first, as whoever started it does"
                )
