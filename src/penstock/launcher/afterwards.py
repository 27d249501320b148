"""What services want done once everything is ready and nothing is waited for: one command at a time."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from penstock.launcher.home import Home
from penstock.launcher.process import MARKER, SUPERVISOR, owner

log = logging.getLogger(__name__)

CALM_S = 60.0
"""Everything has been ready for so long: who waited for it has done by then what he started it for."""
_NAME = "afterwards"
# The kernel shares the processor among sessions before it looks at the priority of a process: sched(7), "autogroup".
_LOWEST_OF_SESSIONS = Path("/proc/self/autogroup")


class Afterwards:
    """Runs each command once in the life of a supervisor. The marker of the home ends with it what still runs."""

    def __init__(
        self, commands: Iterable[tuple[str, ...]], home: Home, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._commands = list(dict.fromkeys(command for command in commands if command))
        self._home, self._clock = home, clock
        self._calm_since: float | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def look(self, *, ready: bool) -> None:
        """Called every few seconds: starts the next command when it is time for it."""
        if not ready:
            self._calm_since = None
            return
        if self._calm_since is None:
            self._calm_since = self._clock()
        at_work = self._child is not None and self._child.poll() is None
        if self._commands and not at_work and self._clock() - self._calm_since >= CALM_S:
            self._child = self._start(self._commands.pop(0))

    def _start(self, command: tuple[str, ...]) -> subprocess.Popen[bytes] | None:
        try:
            with self._home.log(SUPERVISOR).open("ab") as output:
                return subprocess.Popen(  # noqa: S603 - what a service declares
                    (sys.executable, "-m", __name__, *command),
                    env={**os.environ, MARKER: owner(_NAME, self._home.path)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError:
            log.exception("%s could not be started", command[0])
            return None


def main() -> None:
    """Becomes the command of the arguments, with the lowest priority that there is."""
    os.nice(19)
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        with suppress(OSError):  # a kernel that does not group by sessions
            _LOWEST_OF_SESSIONS.write_text("19", "ascii")
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
