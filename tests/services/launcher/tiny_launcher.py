"""The launcher with tiny servers: `control` for one home, and what tests want to know of it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import tiny_stack

from penstock.config import Settings, StackSettings
from penstock.errors import PenstockError
from penstock.launcher import control, process_tree
from penstock.launcher.control import StackState
from penstock.launcher.home import Home
from penstock.launcher.process import Process
from penstock.launcher.selection import choose
from penstock.launcher.state import living_supervisor, living_watchdog
from tests.waiting import until

Declare = Callable[..., tiny_stack.Tiny]
"""Declares one tiny server more: a name, and whatever else `Tiny` has."""


TIMEOUT_S = 120
"""For anything that must come to pass by itself: far beyond what it takes on a quiet machine."""


class Launcher:
    """`control` for one home, and what tests want to know of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stack = StackSettings(pass_environment=tiny_stack.DECLARED_IN)
        self.settings = Settings(home=folder / "home", stack=stack).resolved()
        self.home = Home(self.settings.home)
        self._declared: list[tiny_stack.Tiny] = []
        self.outcome: StackState | PenstockError | None = None
        self.declared_in = folder / "declared.json"

    def restarts_after(self, silence_s: float) -> None:
        """How long a server may be silent; 0 for ever. Before the first `up`."""
        stack = self.settings.stack.model_copy(update={"silence_s": silence_s})
        self.settings = self.settings.model_copy(update={"stack": stack})

    def declare(self, server: tiny_stack.Tiny) -> tiny_stack.Tiny:
        """Adds a server to those that the stack consists of."""
        self._declared.append(server)
        tiny_stack.declare(self.declared_in, self._declared)
        return server

    def up(self, *names: str, **options: Any) -> StackState:
        services = choose(tiny_stack.stack(self.settings), names)
        return control.up(self.settings, services, reference=tiny_stack.REFERENCE, **options)

    @contextmanager
    def rising(self, *names: str) -> Iterator[Thread]:
        """`up` in the background; joined at the end, with its outcome in `outcome`."""
        thread = Thread(target=self._up_quietly, args=names)
        thread.start()
        yield thread
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()

    def _up_quietly(self, *names: str) -> None:
        try:
            self.outcome = self.up(*names)
        except PenstockError as error:
            self.outcome = error

    def down(self) -> StackState:
        return control.down(self.settings)

    def status(self) -> StackState:
        return control.status(self.settings, memory=False)

    def phase(self, name: str) -> str:
        return self.status().service(name).state

    def pid(self, name: str) -> int:
        pid = self.status().service(name).pid
        assert pid is not None
        return pid

    def process(self, name: str) -> Process:
        process = Process.of(self.pid(name))
        assert process is not None
        return process

    def supervisor(self) -> Process:
        process = living_supervisor(self.home)
        assert process is not None
        return process

    def watchdog(self) -> Process:
        found = until(lambda: living_watchdog(self.home))
        assert found is not None
        return found

    def kill_supervisor(self) -> None:
        """The supervisor alone: its watchdog brings it back."""
        self._kill(self.supervisor())

    def kill_both(self) -> None:
        """Supervisor and watchdog: nobody is left who would bring either back."""
        supervisor = self.supervisor()
        supervisor.send(signal.SIGSTOP)
        self._kill(self.watchdog())
        self._kill(supervisor)

    def _kill(self, process: Process) -> None:
        process.send(signal.SIGKILL)
        until(lambda: not process.alive())

    def journal(self) -> list[str]:
        file = self.folder / "journal"
        return file.read_text().splitlines() if file.exists() else []

    def count(self, line: str) -> int:
        return self.journal().count(line)

    def file(self, name: str) -> Path:
        return self.folder / name

    def left(self) -> list[int]:
        """Pids of all that was started for this home and runs."""
        ours = [one for one in process_tree.look() if one.marker.endswith(f"@{self.home.path}")]
        return [one.process.pid for one in ours if one.process.alive()]


def process_in(file: Path) -> Process:
    """The process whose pid stands in a file."""
    process = Process.of(int(file.read_text()))
    assert process is not None
    return process
