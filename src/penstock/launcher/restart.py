"""Ends services of a running stack, so that its supervisor starts each anew with the settings that hold by then."""

import signal
import threading
import time
from collections.abc import Iterable

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.launcher.home import Home
from penstock.launcher.process import Process
from penstock.launcher.state import Phase, RecordedService, read_recorded

_POLL_S = 0.1


def restart(settings: Settings, names: Iterable[str], timeout_s: float = 600) -> list[str]:
    """Returns when those of these services that run, run anew and are ready: their names. One after the other.

    Whoever is killed meanwhile leaves no service stopped: to start them again is the supervisor's work.

    Raises:
        ServiceError: one did not come back in time.
    """
    home, done = Home(settings.home), []
    for name in names:
        found = _running(home, name)
        if found and found.process:
            found.process.send(signal.Signals(found.stop_signal))
            _await(home, name, found.process, time.monotonic() + timeout_s)
            done.append(name)
    return done


def _running(home: Home, name: str) -> RecordedService | None:
    recorded = read_recorded(home)
    return next((one for one in recorded.services if one.name == name and one.lives), None) if recorded else None


def _await(home: Home, name: str, former: Process, deadline_s: float) -> None:
    never = threading.Event()
    while True:
        now = _running(home, name)
        if now and now.process != former and now.phase is Phase.READY:
            return
        if time.monotonic() > deadline_s:
            raise ServiceError(
                f"{name} was ended to be started anew, and is not ready: see `penstock status` and "
                f"`penstock logs {name}`. Its supervisor goes on trying"
            )
        never.wait(_POLL_S)
