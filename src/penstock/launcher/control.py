"""What the command line does with the stack: start it, stop it, look at it, read its logs.

The servers belong to a supervisor in the background; here it is started, asked, followed, and replaced where it is
missing. `up` and `down` may be interrupted, killed and run several times at once.
"""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from penstock.config import Settings, pipeline_environment
from penstock.errors import PortTakenError, ServiceError
from penstock.launcher import conflicts, logs, process_tree
from penstock.launcher.home import Home
from penstock.launcher.process import MARKER, SUPERVISOR, Process, owner, run_detaching
from penstock.launcher.selection import load
from penstock.launcher.service import Service
from penstock.launcher.settings_file import SettingsFile, delete_settings_files
from penstock.launcher.state import (
    ONCE_READY,
    Phase,
    Recorded,
    RecordedService,
    Request,
    ServiceState,
    StackState,
    changed_settings,
    clock_time,
    living_supervisor,
    living_watchdog,
    read_recorded,
    read_request,
    write,
)
from penstock.locks import HeldError, held

__all__ = ["Phase", "ServiceState", "StackState", "down", "follow", "locked", "status", "tail", "up"]

log = logging.getLogger(__name__)

OnChange = Callable[[StackState], None]

_POLL_S = 0.05
_LOCK_TIMEOUT_S = 60.0
_REVIVAL_TIMEOUT_S = 60.0
_TAIL_LINES = 20
# Beyond what its services may take to stop: to kill what did not, and to look everywhere.
_SUPERVISOR_STOP_TIMEOUT_S = 30.0
_RUNNING = (Phase.STARTING, *ONCE_READY, Phase.STOPPING)


def up(
    settings: Settings,
    services: Sequence[Service],
    *,
    reference: str,
    on_change: OnChange = lambda _: None,
    timeout_s: float | None = None,
) -> StackState:
    """Returns when these services are ready; what runs besides goes on. At once if they were ready.

    A server that does not answer any more is waited for: it is restarted after `stack.silence_s`. A service that fails
    does not stop the others: correct it and call again, or call `down`. Interrupted, it stops what it was the first to
    ask for. `reference` names the function that declares all services, for the supervisor. Where a port is taken,
    nothing was started.

    Raises:
        PortTakenError, ServiceExitedError, ServiceNotReadyError: the first service that could not be started.
        ServiceError: the stack runs with other settings, its supervisor ended, or a server does not answer and is
            never restarted.
    """
    conflicts.check(settings, services, lambda: load(reference)(settings))
    home = Home(settings.home)
    home.make()
    names = tuple(service.name for service in services)
    before = read_request(home).names if _supervisor(home) else ()
    try:
        with locked(home):
            number = _ask(settings, home, names, reference)
        _follow_until_ready(settings, names, number, on_change, timeout_s)
    except PortTakenError:
        conflicts.check(settings, services, lambda: load(reference)(settings))  # taken since we looked: now with advice
        raise
    except KeyboardInterrupt:
        _take_back(settings, home, before, names, on_change)
        raise
    return status(settings, memory=False)


def down(settings: Settings, *, delete_data: bool = False, on_change: OnChange = lambda _: None) -> StackState:
    """Stops everything that was ever started for this home, whoever watches it; nothing of it runs afterwards.

    Raises:
        ServiceError: a process outlives SIGKILL, or the home to delete from is not one.
    """
    home = Home(settings.home)
    # Without that folder nothing is recorded; it may have been deleted under a running stack.
    if home.run.exists():
        with locked(home):
            write(home.request, Request(number=_next_number(home)).model_dump_json())
            _end_supervisor(home, on_change)
            _end_recorded(home, on_change)
            process_tree.sweep(home.path)
            delete_settings_files(home)
    else:
        process_tree.sweep(home.path)
    state = status(settings, memory=False)
    if delete_data:
        home.delete_data()
    return state


def status(settings: Settings, *, memory: bool = True) -> StackState:
    """What runs now: the supervisor's word, checked against the machine's processes. Measures memory in ~0.2 s."""
    home = Home(settings.home)
    supervisor, watchdog = living_supervisor(home), living_watchdog(home)
    recorded = read_recorded(home)
    services = tuple(_truth(one, supervised=bool(supervisor or watchdog)) for one in _services(recorded))
    state = StackState(home=home.path, supervisor_pid=_pid(supervisor), watchdog_pid=_pid(watchdog), services=services)
    if not memory:
        return state
    return _with_memory(state, _services(recorded), [one for one in (supervisor, watchdog) if one])


def tail(settings: Settings, service: str, lines: int) -> list[str]:
    """The last lines of a service's log.

    Raises:
        ServiceError: no service of that name has written a log.
    """
    home = Home(settings.home)
    _check_log(home, service)
    return logs.tail(home.log(service), lines)


def follow(settings: Settings, service: str, lines: int, stop: threading.Event | None = None) -> Iterator[str]:
    """The last lines of a service's log, then every further line, until `stop` is set.

    Raises:
        ServiceError: no service of that name has written a log.
    """
    home = Home(settings.home)
    _check_log(home, service)
    return logs.follow(home.log(service), lines, stop)


def _check_log(home: Home, service: str) -> None:
    known = sorted(path.stem for path in home.logs.glob("*.log"))
    if service not in known:
        raise ServiceError(f"no log of {service!r} in {home.logs}; there are {', '.join(known) or 'none'}")


def _ask(settings: Settings, home: Home, names: Sequence[str], reference: str) -> int:
    """Has a supervisor run these services besides what runs; returns the number of the request that says so."""
    supervisor = _supervisor(home)
    recorded = read_recorded(home)
    request = read_request(home)
    if supervisor and recorded:
        _check_settings(settings, recorded)
    something_runs = supervisor is not None or any(service.lives for service in _services(recorded))
    kept = request.names if something_runs else ()
    if supervisor and recorded and _all_ready(recorded, names) and set(names) <= set(kept):
        return request.number
    wanted = Request(number=_next_number(home), names=tuple(dict.fromkeys((*kept, *names))))
    write(home.request, wanted.model_dump_json())
    if supervisor:
        supervisor.send(signal.SIGHUP)
    else:
        _start_supervisor(settings, home, reference)
    return wanted.number


def _next_number(home: Home) -> int:
    """Above every earlier one, also where one of the two files was lost."""
    recorded = read_recorded(home)
    return 1 + max(read_request(home).number, recorded.request if recorded else 0)


def _services(recorded: Recorded | None) -> tuple[RecordedService, ...]:
    return recorded.services if recorded else ()


def _all_ready(recorded: Recorded, names: Sequence[str]) -> bool:
    ready = {service.name for service in recorded.services if service.phase is Phase.READY and service.lives}
    return ready.issuperset(names)


def differing(settings: Settings) -> list[str]:
    """The variables whose value is another one than that with which the stack of the home was started."""
    recorded = read_recorded(Home(settings.home))
    return changed_settings(settings, recorded.settings) if recorded else []


def started_by(settings: Settings) -> str:
    """The version of the package that watches the stack of the home; empty where that does not say it."""
    recorded = read_recorded(Home(settings.home))
    return recorded.version if recorded else ""


def _check_settings(settings: Settings, recorded: Recorded) -> None:
    changed = changed_settings(settings, recorded.settings)
    if changed:
        raise ServiceError(
            f"the stack in {settings.home} runs with other settings than these: {', '.join(changed)} changed. "
            "Stop it first: penstock down; the data stay"
        )


def _start_supervisor(settings: Settings, home: Home, reference: str) -> None:
    log_file = home.log(SUPERVISOR)
    start = log_file.stat().st_size if log_file.exists() else 0
    command = (sys.executable, "-m", "penstock.launcher.supervisor", "--services", reference, "--detach")
    given = SettingsFile(SUPERVISOR, settings)
    given.write()
    environment = {**pipeline_environment(settings), **given.environment, MARKER: owner(SUPERVISOR, home.path)}
    if run_detaching(command, environment, home.path, log_file) != 0:
        other = _supervisor(home)
        if other:  # the watchdog of one that was killed before it could record its watchdog
            other.send(signal.SIGHUP)
            return
        text = "\n".join(logs.tail(log_file, _TAIL_LINES, start))
        raise ServiceError(f"the supervisor did not start. Last lines of {log_file}:\n{text}")


def _follow_until_ready(
    settings: Settings, names: Sequence[str], number: int, on_change: OnChange, timeout_s: float | None
) -> None:
    home = Home(settings.home)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    for recorded in _changes(home, on_change):
        if recorded and recorded.request >= number:
            wanted = [service for service in recorded.services if service.name in names]
            failure = next((service.failure for service in wanted if service.failure), None)
            if failure:
                raise failure.error()
            if not settings.stack.silence_s:
                _check_answering(wanted)
            if _all_ready(recorded, names):  # one that died may be recorded as ready for another moment
                return
        if _supervisor(home) is None:
            raise ServiceError(_supervisor_ended(home))
        if deadline is not None and time.monotonic() > deadline:
            unready = [service.name for service in _services(recorded) if service.phase is not Phase.READY]
            raise ServiceError(f"{', '.join(unready)} not ready within {timeout_s:.0f} s; see `penstock status`")


def _check_answering(services: Sequence[RecordedService]) -> None:
    """Where nobody restarts a silent server, nobody should wait for it without a message."""
    for service in services:
        if service.phase is Phase.NOT_ANSWERING and service.process and service.silent_since:
            raise ServiceError(
                f"{service.error}. Process {service.process.pid} runs and has not answered since "
                f"{clock_time(service.silent_since)}, and stack.silence_s = 0 says not to restart it. Have a look "
                f"(`penstock logs {service.name}`); once it is killed (kill -9 {service.process.pid}), it is restarted"
            )


def _supervisor_ended(home: Home) -> str:
    text = "\n".join(logs.tail(home.log(SUPERVISOR), _TAIL_LINES))
    return (
        "the supervisor ended before everything was ready: `penstock down` from elsewhere, or killed. "
        "`penstock up` goes on with what still runs, `penstock down` stops it. "
        f"Last lines of {home.log(SUPERVISOR)}:\n{text}"
    )


def _changes(home: Home, on_change: OnChange) -> Iterator[Recorded | None]:
    """What the supervisor records, again and again; `on_change` hears of each difference once."""
    never = threading.Event()
    last: Recorded | None = None
    while True:
        recorded = read_recorded(home)
        if recorded and recorded != last:
            on_change(_as_recorded(home, recorded))
        last = recorded
        yield recorded
        never.wait(_POLL_S)


def _supervisor(home: Home) -> Process | None:
    """The one that runs. Where it was killed a moment ago its watchdog is becoming the next: that is waited for."""
    never = threading.Event()
    deadline = time.monotonic() + _REVIVAL_TIMEOUT_S
    while living_supervisor(home) is None and living_watchdog(home) and time.monotonic() < deadline:
        never.wait(_POLL_S)
    return living_supervisor(home)


def _pid(process: Process | None) -> int | None:
    return process.pid if process else None


def _as_recorded(home: Home, recorded: Recorded) -> StackState:
    return StackState(
        home=home.path,
        supervisor_pid=_pid(living_supervisor(home)),
        watchdog_pid=_pid(living_watchdog(home)),
        services=tuple(service.public() for service in recorded.services),
    )


def _take_back(
    settings: Settings, home: Home, before: Sequence[str], names: Sequence[str], on_change: OnChange
) -> None:
    """Undoes an interrupted `up`: stops what it added, and everything if nothing ran before."""
    if not before:
        down(settings, on_change=on_change)
        return
    supervisor = _supervisor(home)
    if supervisor is None or set(names) <= set(before):
        return
    with locked(home):
        request = Request(number=_next_number(home), names=tuple(before))
        write(home.request, request.model_dump_json())
        supervisor.send(signal.SIGHUP)
    for recorded in _changes(home, on_change):
        left = {service.name for service in _services(recorded)} - set(before)
        if _supervisor(home) is None or not left:
            return


def _end_supervisor(home: Home, on_change: OnChange) -> None:
    supervisor = _supervisor(home)
    if supervisor is None:
        return
    timeout_s = _SUPERVISOR_STOP_TIMEOUT_S + sum(service.stop_timeout_s for service in _services(read_recorded(home)))
    deadline = time.monotonic() + timeout_s
    supervisor.send(signal.SIGTERM)
    for _ in _changes(home, on_change):
        if not supervisor.alive():
            return
        if time.monotonic() > deadline:
            log.warning("the supervisor, process %s, did not end within %.0f s: killing it", supervisor.pid, timeout_s)
            supervisor.send(signal.SIGKILL)


def _end_recorded(home: Home, on_change: OnChange) -> None:
    """Stops what no supervisor stopped, and records that it is stopped."""
    recorded = read_recorded(home)
    if recorded is None:
        return
    left = {service.name: service for service in recorded.services}

    def post(name: str, phase: Phase) -> None:
        changes = {"phase": phase} | ({"process": None} if phase is Phase.STOPPED else {})
        left[name] = left[name].model_copy(update=changes)
        now = recorded.model_copy(update={"services": tuple(left.values())})
        write(home.state, now.model_dump_json())
        on_change(_as_recorded(home, now))

    unfinished = [one for one in recorded.services if one.phase is not Phase.STOPPED or one.lives]
    process_tree.stop_all(unfinished, home.path, post)


def _with_memory(state: StackState, recorded: Sequence[RecordedService], supervisors: Sequence[Process]) -> StackState:
    seen = process_tree.look()

    def measured(service: ServiceState) -> ServiceState:
        root = next(one.process for one in recorded if one.name == service.name)
        found = process_tree.belonging(seen, root, owner(service.name, state.home))
        return service.model_copy(update={"memory_pss_bytes": process_tree.memory_pss_bytes(found)})

    return state.model_copy(
        update={
            "supervisor_memory_pss_bytes": process_tree.memory_pss_bytes(supervisors) if supervisors else None,
            "services": tuple(measured(service) if service.pid else service for service in state.services),
        }
    )


def _truth(service: RecordedService, *, supervised: bool) -> ServiceState:
    """The state of a service. Its record may be older than the end of its process, so the process is looked at too."""
    if service.lives:
        return service.public()
    gone = service.model_copy(update={"process": None})
    if service.phase in (Phase.FAILED, Phase.STOPPED):
        return gone.public()
    if supervised:
        # It died a moment ago, and its supervisor has not recorded that yet.
        return gone.public(Phase.RESTARTING if service.phase in ONCE_READY else service.phase)
    return gone.public(Phase.LOST if service.phase in _RUNNING else Phase.STOPPED)


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """One command at a time asks, so that no two start a supervisor. Released with the process, however it ends."""
    with ExitStack() as holding:
        try:
            holding.enter_context(held(home.up_lock, _LOCK_TIMEOUT_S))
        except HeldError as error:
            raise ServiceError(
                f"another penstock command, process {error.holder}, is busy with {home.path} for longer than "
                f"{_LOCK_TIMEOUT_S:.0f} s. Wait for it, or stop it"
            ) from error
        yield
