"""Fixtures of the launcher's tests. What they import is found beside them, here and by the supervisor they start."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.launcher.process import MARKER
from rig.stacks import free_ports

_MOST = 20
"""Tiny servers of one test."""
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import tiny_stack  # noqa: E402 - found by the line above
from tiny_launcher import Declare, Launcher  # noqa: E402

from tests.waiting import until  # noqa: E402


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH", "")))))
    monkeypatch.setenv(tiny_stack.DECLARED_IN, str(launcher.declared_in))
    monkeypatch.delenv(MARKER, raising=False)
    yield launcher
    launcher.down()
    assert launcher.left() == []


@pytest.fixture
def port() -> Callable[[], int]:
    """Ports that were free a moment ago, no two the same."""
    return iter(free_ports(_MOST)).__next__


@pytest.fixture
def tiny(launcher: Launcher, port: Callable[[], int]) -> Declare:
    """Declares one tiny server more each time it is called."""

    def declare(name: str, **rest: Any) -> tiny_stack.Tiny:
        return launcher.declare(tiny_stack.Tiny(name, port(), **rest))

    return declare


@pytest.fixture
def hold() -> Iterator[Callable[[int], Callable[[], None]]]:
    """Listens on a port as soon as it can be had; what it returns lets go."""
    held: list[socket.socket] = []

    def take(number: int) -> Callable[[], None]:
        def taken() -> bool:
            try:
                held.append(socket.create_server(("127.0.0.1", number)))
            except OSError:
                return False
            return True

        until(taken)
        return held[-1].close

    yield take
    for listener in held:
        listener.close()
