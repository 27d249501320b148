"""What every suite may use: settings with ports and a folder of their own."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.config import Ports, Settings

# Below Linux's ephemeral range (32768–60999), so that no outgoing connection takes a port between the look and the use.
FIRST_PORT, LAST_PORT = 10_000, 32_000


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody held a moment ago, no two the same."""
    found: list[int] = []
    for port in random.sample(range(FIRST_PORT, LAST_PORT), k=count * 20):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"only {len(found)} of {count} ports are free")


def settings_in(home: Path) -> Settings:
    """Settings of a stack of its own under `home`, with free ports; downloads are shared with every other stack."""
    names = list(Ports.model_fields)
    ports = Ports.model_validate(dict(zip(names, free_ports(len(names)), strict=True)))
    return Settings(home=home, ports=ports).resolved()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for one test, for the services that it starts itself."""
    return settings_in(tmp_path / "home")


@pytest.fixture
def free_port() -> Iterator[int]:
    """One free port."""
    yield from free_ports(1)
