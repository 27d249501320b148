"""Locks between processes: one process at a time holds a file, and the system takes the lock back when that ends."""

import fcntl  # noqa: TID251 - the library cannot hold a folder
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


class HeldError(Exception):
    """Another process holds the lock; whoever asked for it says what that means. `holder` is its process id."""

    def __init__(self, file: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(f"{file} is held by process {holder}")


@contextmanager
def held(file: Path, timeout_s: float | None = 0) -> Iterator[None]:
    """Holds the lock while the block runs; meanwhile the file says which process does. Without a timeout it waits.

    Raises:
        HeldError: another process still holds it after `timeout_s`.
    """
    # Not the library's substitute where the file system has no locks: that is a file which outlives a killed process.
    lock = FileLock(file, timeout=-1 if timeout_s is None else timeout_s, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise HeldError(file, file.read_text("utf-8", "replace").strip() or "unknown") from error
    try:
        file.write_text(str(os.getpid()), "utf-8")
        yield
    finally:
        lock.release()


@contextmanager
def folder_held(folder: Path) -> Iterator[None]:
    """Holds a folder itself while the block runs: a folder that is to be empty has no room for a file that is a lock.

    Raises:
        HeldError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise HeldError(folder, "unknown") from error
    try:
        yield
    finally:
        os.close(descriptor)
