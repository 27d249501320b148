"""Where a secret would be found by others: command lines, environments, logs, pages of Spark."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import httpx
import psutil

from rig.stacks import processes_of

MAY_HOLD = re.compile(r"-m penstock --verbose stream")
"""A stream that is started by hand has what its caller gave it; no process that the launcher starts has a secret."""


def by_processes(home: Path, secrets: Sequence[str]) -> list[str]:
    """Command lines of this home's processes that show a secret there, or in an environment that needs none."""
    return [" ".join(command) for command, text in _readable(home) if _any_in(secrets, text)]


def by_files(folders: Iterable[Path], secrets: Sequence[str]) -> list[Path]:
    """Files below the folders that hold a secret."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return [file for file in files if any(secret.encode() in file.read_bytes() for secret in secrets)]


def by_pages(ui_port: int, secrets: Sequence[str]) -> list[str]:
    """Pages of a running stream's driver that show a secret."""
    pages = [
        f"http://127.0.0.1:{ui_port}/{page}" for page in ("environment/", "SQL/execution/?id=0", "StreamingQuery/")
    ]
    with httpx.Client(trust_env=False, timeout=60) as client:
        answers = [client.get(page).raise_for_status() for page in pages]
    return [str(answer.url) for answer in answers if _any_in(secrets, answer.text)]


def _readable(home: Path) -> Iterator[tuple[list[str], str]]:
    for process in processes_of(home):
        try:
            command, environment = process.cmdline(), process.environ()
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # it ended since it was found
            continue
        yield command, "\n".join(command if MAY_HOLD.search(" ".join(command)) else (*command, *environment.values()))


def _any_in(secrets: Sequence[str], text: str) -> bool:
    return any(secret in text for secret in secrets)
