"""Ends services of a running stack, so that its supervisor starts each anew with the settings that hold by then."""

import signal
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.launcher.home import Home
from penstock.launcher.process import Process
from penstock.launcher.state import Phase, RecordedService, living_supervisor, living_watchdog, read_recorded

_POLL_S = 0.1
_AT_REST = (Phase.FAILED, Phase.STOPPING, Phase.STOPPED, Phase.LOST)


def restart(settings: Settings, names: Iterable[str], timeout_s: float = 600) -> list[str]:
    """Ends those of these services that run, each once the one before it is gone, and returns when all run anew and are
    ready: their names. One that is on its way up is waited for first: it may have read what holds no longer.

    Whoever is killed meanwhile leaves no service stopped: to start them again is the supervisor's work.

    Raises:
        ServiceError: one did not end, or did not come back, in time; or nobody is left who would start it anew.
    """
    home, ended = Home(settings.home), dict[str, Process]()
    for name in names:
        _await(partial(_is_settled, home, name), home, name, timeout_s)
        found = _recorded(home, name)
        if found and found.lives and (process := found.process):
            process.send(signal.Signals(found.stop_signal))
            ended[name] = process
            _await(partial(_is_gone, process), home, name, timeout_s)
    for name, process in ended.items():
        _await(partial(_is_anew, home, name, process), home, name, timeout_s)
    return [*ended]


def _recorded(home: Home, name: str) -> RecordedService | None:
    recorded = read_recorded(home)
    return next((one for one in recorded.services if one.name == name), None) if recorded else None


def _is_settled(home: Home, name: str) -> bool:
    """It has been ready, or nobody is about to start it: one that ends before it was ever ready has failed for good."""
    found = _recorded(home, name)
    return found is None or found.phase in _AT_REST or (found.lives and found.phase is not Phase.STARTING)


def _is_gone(process: Process) -> bool:
    return not process.alive()


def _is_anew(home: Home, name: str, former: Process) -> bool:
    now = _recorded(home, name)
    if now and now.phase is Phase.FAILED:
        raise ServiceError(
            f"{name} was ended and cannot be started anew: see `penstock logs {name}`, then `penstock up`"
        )
    return now is not None and now.lives and now.process != former and now.phase is Phase.READY


def _await(condition: Callable[[], bool], home: Home, name: str, timeout_s: float) -> None:
    never = threading.Event()
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if not (living_supervisor(home) or living_watchdog(home)):
            raise ServiceError(
                f"{name} is to be started anew, and nobody watches the services of {home.path} any more: they were "
                "stopped meanwhile (`penstock down`), or their supervisor was killed. `penstock up` starts them"
            )
        if time.monotonic() > deadline_s:
            raise ServiceError(
                f"{name} is to be ended and started anew, and is not ready: see `penstock status` and "
                f"`penstock logs {name}`. Its supervisor goes on trying"
            )
        never.wait(_POLL_S)
