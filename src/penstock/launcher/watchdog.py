"""Replaces a supervisor that is killed: a shell that waits for its end, and then executes the next one.

The watchdog reads from a pipe of which the supervisor alone holds the other end. A supervisor that ends by itself says
a word first, and the watchdog leaves; one that is killed says nothing, and the watchdog executes the next supervisor in
its own place. A shell has less than a megabyte where another Python would have ten.
"""

import subprocess
import sys
from contextlib import suppress

from penstock.config import Settings, pipeline_environment
from penstock.errors import ServiceError
from penstock.launcher.home import Home
from penstock.launcher.process import MARKER, SUPERVISOR, Process, owner, spawn_listening
from penstock.launcher.settings_file import SettingsFile
from penstock.launcher.state import record_watchdog

WATCHDOG = "guardian"
"""Its name in the value of `MARKER`. As before, so that a supervisor knows the watchdog of an earlier version."""

_WAIT = 'read -r word || exec "$@" </dev/null'
_WORD = b"ended\n"


class Watchdog:
    """The watchdog of the calling process. Its pid is that of the next supervisor."""

    def __init__(self, settings: Settings, reference: str) -> None:
        """`reference` names the function that declares the services."""
        self._home = Home(settings.home)
        supervisor = ("-m", "penstock.launcher.supervisor", "--services", reference, "--revived")
        mark = f"{MARKER}={owner(SUPERVISOR, settings.home)}"
        self._command = ("sh", "-c", _WAIT, "penstock-watchdog", "env", mark, sys.executable, *supervisor)
        self._given = SettingsFile(SUPERVISOR, settings)
        mark_of_own = {MARKER: owner(WATCHDOG, settings.home)}
        self._environment = {**pipeline_environment(settings), **self._given.environment, **mark_of_own}
        self._child: subprocess.Popen[bytes] | None = None

    def living(self) -> tuple[Process, subprocess.Popen[bytes]]:
        """The one that lives; starts and records another where it has ended.

        Raises:
            ServiceError: it cannot be executed.
        """
        if self._child is None or self._child.poll() is not None:
            self._given.write()
            self._child = spawn_listening(self._command, self._environment, self._home.log(SUPERVISOR))
        process = Process.of(self._child.pid)
        if process is None:  # cannot be: a child that nobody has waited for keeps its pid
            raise ServiceError(f"the watchdog, process {self._child.pid}, was gone at once")
        record_watchdog(self._home, process)
        return process, self._child

    def dismiss(self) -> None:
        """Tells it that its supervisor ends on purpose; once is enough."""
        pipe = self._child.stdin if self._child else None
        if pipe and not pipe.closed:
            with suppress(BrokenPipeError):  # it was killed
                pipe.write(_WORD)
            pipe.close()
