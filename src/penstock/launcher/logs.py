"""The servers' log files: their end, their growth, and keeping them small.

Each server appends to its own file without us in between, so that it runs on when the supervisor is killed. The price
is paid at rotation: the file is copied and then cut to nothing under the server, and what is written in the
microseconds between the two is lost. A pipe through the supervisor would lose nothing then, and the server with it.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

ROTATE_ABOVE_BYTES = 10 * 1024 * 1024
KEPT = 3

_BLOCK_BYTES = 64 * 1024
_POLL_S = 0.1


def tail(path: Path, lines: int, since_byte: int = 0) -> list[str]:
    """The last lines of a file, at most; none of what stands before `since_byte`, none if there is no file."""
    if lines < 1 or not path.exists():
        return []
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        floor = since_byte if since_byte <= end else 0  # it was rotated since
        start = end
        text = b""
        while start > floor and text.count(b"\n") <= lines:
            size = min(_BLOCK_BYTES, start - floor)
            start = file.seek(start - size)
            text = file.read(size) + text
    return text.decode("utf-8", "replace").splitlines()[-lines:]


def follow(path: Path, lines: int, stop: threading.Event | None = None) -> Iterator[str]:
    """The last lines of a file, then every line as it is completed, across rotations, until `stop` is set."""
    stop = stop or threading.Event()
    position = path.stat().st_size if path.exists() else 0
    yield from tail(path, lines)
    unfinished = b""
    while not stop.is_set():
        grown, position = _read_on(path, position)
        *complete, unfinished = (unfinished + grown).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace")
        if not grown:
            stop.wait(_POLL_S)


def rotate(path: Path, above_bytes: int = ROTATE_ABOVE_BYTES, kept: int = KEPT) -> bool:
    """Moves what a file holds to `NAME.1`, that to `NAME.2` and so on, if it is large; says whether it did.

    The file itself stays: the server holds it open, for appending, and goes on at its new end.
    """
    if not path.exists() or path.stat().st_size <= above_bytes:
        return False
    for number in range(kept - 1, 0, -1):
        older = _numbered(path, number)
        if older.exists():
            older.replace(_numbered(path, number + 1))
    with path.open("rb+") as file, _numbered(path, 1).open("wb") as copy:
        shutil.copyfileobj(file, copy, _BLOCK_BYTES)
        file.truncate(0)
    return True


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _read_on(path: Path, position: int) -> tuple[bytes, int]:
    """What was written since `position`, and the position after it; a file that shrank was rotated."""
    if not path.exists():
        return b"", 0
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        if end >= position:
            file.seek(position)
            grown = file.read(_BLOCK_BYTES)
            return grown, position + len(grown)
    rotated = _numbered(path, 1)
    if not rotated.exists():
        return b"", 0
    with rotated.open("rb") as file:
        file.seek(position)
        return file.read(), 0
