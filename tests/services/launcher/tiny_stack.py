"""Declares tiny servers as services; the supervisor of a test imports it, and reads what the test wrote down."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.config import Settings
from penstock.launcher.service import NotReady, Service

DECLARED_IN = "TINY_STACK"
"""Environment variable: the file that a test declares its servers in."""
REFERENCE = "tiny_stack:stack"
SERVER = Path(__file__).with_name("tiny_server.py")


@dataclass(frozen=True)
class Tiny:
    """One tiny server; `options` are those of tiny_server.py."""

    name: str
    port: int
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    start_timeout_s: float = 30
    stop_timeout_s: float = 10
    prepare: tuple[str, ...] = ()
    """A command to run as the preparation."""
    asks: int = 0
    """The port that its probe asks, where that is another server's."""
    probe_every_s: float = 15
    answer_timeout_s: float = 2


def declare(file: Path, servers: list[Tiny]) -> None:
    file.write_text(json.dumps([asdict(server) for server in servers]))


def stack(settings: Settings) -> tuple[Service, ...]:
    file = Path(os.environ[DECLARED_IN])
    return tuple(service(settings, file.with_name("journal"), **each) for each in json.loads(file.read_text()))


def service(
    settings: Settings, journal: Path, name: str, port: int, needs: list[str], options: list[str], **rest: Any
) -> Service:
    command = [sys.executable, str(SERVER), "--name", name, "--port", str(port), "--journal", str(journal), *options]
    prepare, asked = rest["prepare"], rest["asks"] or port
    return Service(
        name=name,
        command=tuple(command),
        log=settings.home / "logs" / f"{name}.log",
        folder=settings.home / "run" / name,
        ports={"main": port},
        needs=tuple(needs),
        after=tuple(rest["after"]),
        probe=lambda: ask(asked, rest["answer_timeout_s"]),
        probe_every_s=rest["probe_every_s"],
        prepare=lambda: None if not prepare else _run(prepare),
        start_timeout_s=rest["start_timeout_s"],
        stop_timeout_s=rest["stop_timeout_s"],
    )


def ask(port: int, timeout_s: float) -> None:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
            answer = connection.recv(16)
    except OSError as error:
        raise NotReady(str(error)) from error
    if answer != b"ok":
        raise NotReady(f"it said {answer!r}")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)
