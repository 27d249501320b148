"""Stacks of their own: free ports, settings in a folder, start as `penstock up` does, look for leftovers."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import gettempdir

import psutil

from penstock.config import Ports, Settings, StackSettings, child_environment
from penstock.launcher import control
from penstock.locks import HeldError, held
from penstock.servers import jars
from penstock.servers.stack import STACK
from penstock.servers.stack import stack as services_of

# Below Linux's ephemeral range (32768–60999), so that no outgoing connection takes a port between the look and the use.
FIRST_PORT, LAST_PORT = 10_000, 32_000
_BLOCK = 1_000
UP_TIMEOUT_S = 900


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody holds, no two the same; no other process that asks here is given them.

    A stack takes some of its ports minutes after they were chosen, so that to look whether a port is free now is not
    enough when two suites run beside each other: each process has a block of its own, and goes round in it.
    """
    found: list[int] = []
    ports = _own_ports()
    for _ in range(_BLOCK):
        port = next(ports)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"only {len(found)} of {count} ports are free")


@cache
def _own_ports() -> Iterator[int]:
    """The ports of the first block that no process holds, round and round; held until this process ends."""
    for first in range(FIRST_PORT, LAST_PORT, _BLOCK):
        lock = Path(gettempdir()) / f"penstock-test-ports-{os.getuid()}-{first}.lock"
        with suppress(HeldError), held(lock):
            yield from cycle(range(first, first + _BLOCK))
    raise AssertionError("other processes hold all ports that tests may have")


def settings_in(home: Path, stack: StackSettings | None = None) -> Settings:
    """Settings of a stack of its own under `home`, with free ports; downloads are shared with every other stack."""
    names = list(Ports.model_fields)
    ports = Ports.model_validate(dict(zip(names, free_ports(len(names)), strict=True)))
    return Settings(home=home, ports=ports, stack=stack or StackSettings()).resolved()


def start(settings: Settings, *names: str) -> control.StackState:
    """What `penstock up` does."""
    jars.fetch(settings, lambda _: None)
    return control.up(settings, services_of(settings, names), reference=STACK, timeout_s=UP_TIMEOUT_S)


def penstock(settings: Settings, *arguments: str, timeout_s: float = 280) -> subprocess.CompletedProcess[str]:
    """What the command prints and returns, with these settings in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments],
        env=child_environment(settings.environment()),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def processes_of(home: Path) -> list[psutil.Process]:
    """Living processes that have `home` in their command, working folder or environment, but for this one."""
    others = (process for process in psutil.process_iter() if process.pid != psutil.Process().pid)
    return [process for process in others if _speaks_of(process, str(home))]


def _speaks_of(process: psutil.Process, text: str) -> bool:
    try:
        known = (*process.cmdline(), process.cwd(), *process.environ().values())
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # ZombieProcess is a NoSuchProcess
        return False
    return any(text in part for part in known)
