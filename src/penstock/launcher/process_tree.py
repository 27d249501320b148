"""Every process that belongs to a service, wherever it hides, and how all of them are stopped.

A server's processes are found in three ways, for each alone fails somewhere: descent (lost when a parent dies), process
group and session (left by `setsid`), and the marker that our environment hands down (cleared by few, but unreadable
where a program overwrites its environment, as Postgres does in the children that end with their parent anyway).
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path

import psutil

from penstock.errors import ServiceError
from penstock.launcher.process import MARKER, Process, is_of, owner
from penstock.launcher.state import Phase, RecordedService

log = logging.getLogger(__name__)

_POLL_S = 0.02
_GRACE_S = 2.0
"""For the rest of a service whose main process has ended gently, or crashed: time to write and leave."""
_KILL_ROUNDS = 100


@dataclass(frozen=True)
class Seen:
    """One process in a look at all of them. `marker` is empty where it is absent or may not be read, and for whoever
    looks: a shell that a server started, or that has the variable from elsewhere, is no server.
    """

    process: Process
    parent: int
    group: int
    session: int
    marker: str


def look() -> list[Seen]:
    """All processes of the machine; a few milliseconds. This one and its ancestors carry no marker."""
    seen = []
    for found in psutil.process_iter():
        process = Process.of(found.pid)
        if process is None:
            continue
        try:
            group, session, parent = os.getpgid(found.pid), os.getsid(found.pid), found.ppid()
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
        seen.append(Seen(process, parent, group, session, _marker(found)))
    callers = _ancestors(seen, os.getpid()) | {os.getpid()}
    return [replace(one, marker="") if one.process.pid in callers else one for one in seen]


def belonging(seen: Sequence[Seen], root: Process | None, marker: str) -> set[Process]:
    """The root if it was seen, its descendants, its group and session, and whoever carries the marker."""
    found = {one.process for one in seen if one.marker == marker}
    if root is None:
        return found
    # While a group has a member, its number is not given to a new process; afterwards it may be somebody else's.
    if all(one.process == root for one in seen if one.process.pid == root.pid):
        found |= {one.process for one in seen if root.pid in (one.group, one.session, one.process.pid)}
        found |= _descendants(seen, root.pid)
    return found


def memory_pss_bytes(processes: Iterable[Process]) -> int:
    """What the processes hold, shared pages divided among their users (USS, which leaves those out, off Linux)."""
    return sum(_memory(process) for process in processes)


def stop(service: RecordedService, home: Path) -> None:
    """Ends a service: the gentle signal to its group, `stop_timeout_s` of patience, then SIGKILL to all it has left.

    Raises:
        ServiceError: something outlives SIGKILL; names the processes.
    """
    marker = owner(service.name, home)
    found = belonging(look(), service.process, marker)
    if service.process:
        service.process.send(signal.Signals(service.stop_signal), group=True)
        service.process.send(signal.SIGCONT, group=True)  # one that was suspended hears nothing else
        if _gone([service.process], service.stop_timeout_s):
            found |= belonging(look(), service.process, marker)
            ask_to_end(found)
        else:
            log.warning("%s did not stop within %s s: killing it", service.name, service.stop_timeout_s)
    _kill(service.name, found, lambda: belonging(look(), service.process, marker))


def clear_away(service: str, root: Process | None, home: Path) -> None:
    """Ends what a dead or hung main process has left: they would hold its ports and its files.

    Raises:
        ServiceError: something outlives SIGKILL.
    """
    marker = owner(service, home)
    found = belonging(look(), root, marker)
    ask_to_end(found)
    _kill(service, found, lambda: belonging(look(), root, marker))


def stop_all(services: Sequence[RecordedService], home: Path, on_phase: Callable[[str, Phase], None]) -> None:
    """Stops each service once all that need it are stopped, and otherwise at the same time.

    Raises:
        ServiceError: something outlives SIGKILL; the rest was stopped nevertheless.
    """
    known = {service.name: service for service in services}
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(known, ()))
    for service in services:
        for needed in service.needs:
            if needed in known:
                order.add(needed, service.name)
    order.prepare()
    failures: list[str] = []
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(known))) as pool:
        while order.is_active():
            for name in order.get_ready():
                on_phase(name, Phase.STOPPING)
                running[pool.submit(stop, known[name], home)] = name
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                failure = future.exception()
                if failure is None:
                    on_phase(name, Phase.STOPPED)
                else:
                    failures.append(str(failure))
                order.done(name)
    if failures:
        raise ServiceError("\n".join(failures))


def sweep(home: Path, spare: Iterable[str] = (), roots: Iterable[Process] = ()) -> None:
    """Ends every process that was started for this home but for the services to spare, and the children of `roots`.

    The caller and its ancestors are spared as well.

    Raises:
        ServiceError: something outlives SIGKILL.
    """
    spared = {owner(name, home) for name in spare}
    parents = tuple(roots)

    def ours() -> set[Process]:
        seen = look()
        callers = _ancestors(seen, os.getpid()) | {os.getpid()}
        found = {one.process for one in seen if is_of(one.marker, home) and one.marker not in spared}
        for parent in parents:
            found |= _descendants(seen, parent.pid)
        return {process for process in found if process.pid not in callers}

    found = ours()
    if found:
        log.warning("ending processes left behind: %s", ", ".join(str(process.pid) for process in sorted_by_pid(found)))
        ask_to_end(found)
        _kill("what was left behind", found, ours)


def ask_to_end(processes: Iterable[Process], grace_s: float = _GRACE_S) -> None:
    """Asks processes to end, and gives them a little time."""
    living = [process for process in processes if process.alive()]
    for process in living:
        process.send(signal.SIGTERM)
    _gone(living, grace_s)


def sorted_by_pid(processes: Iterable[Process]) -> list[Process]:
    return sorted(processes, key=lambda process: process.pid)


def _kill(what: str, found: set[Process], look_again: Callable[[], set[Process]]) -> None:
    for _ in range(_KILL_ROUNDS):
        living = [process for process in found | look_again() if process.alive()]
        if not living:
            return
        for process in living:
            process.send(signal.SIGKILL)
        _gone(living, 10 * _POLL_S)
    pids = ", ".join(str(process.pid) for process in sorted_by_pid(living))
    raise ServiceError(f"{what}: processes {pids} outlive SIGKILL; see `ps -o pid,stat,wchan,args -p {pids}`")


def _gone(processes: Sequence[Process], timeout_s: float) -> bool:
    """Waits until all have ended; False when some have not within the limit."""
    never = threading.Event()
    deadline = time.monotonic() + timeout_s
    while any(process.alive() for process in processes):
        if time.monotonic() >= deadline:
            return False
        never.wait(_POLL_S)
    return True


def _descendants(seen: Sequence[Seen], root_pid: int) -> set[Process]:
    children: dict[int, list[Process]] = {}
    for one in seen:
        children.setdefault(one.parent, []).append(one.process)
    found: set[Process] = set()
    unvisited = list(children.get(root_pid, []))
    while unvisited:
        process = unvisited.pop()
        found.add(process)
        unvisited.extend(children.get(process.pid, []))
    return found


def _ancestors(seen: Sequence[Seen], pid: int) -> set[int]:
    parents: Mapping[int, int] = {one.process.pid: one.parent for one in seen}
    found: set[int] = set()
    while pid in parents and parents[pid] not in found:
        pid = parents[pid]
        found.add(pid)
    return found


def _marker(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARKER, "")
    except (psutil.Error, OSError):
        return ""


def _memory(process: Process) -> int:
    try:
        memory = psutil.Process(process.pid).memory_full_info()
    except (psutil.Error, OSError):
        return 0
    return int(getattr(memory, "pss", 0) or memory.uss)
