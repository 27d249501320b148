"""The files of a backup on their way: copied out of a home, hashed, and written into another one."""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from penstock.config import Settings
from penstock.errors import BackupError
from penstock.servers.backup.manifest import DECLARATIONS, MODES, Folder, Member
from penstock.servers.secrets import FILE_NAME as SECRETS

Advance = Callable[[int], None]
"""Called with the number of bytes that were just done."""
OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how many bytes are done, and of how many."""

CHUNK_BYTES = 1024 * 1024
_ZEROS = bytes(CHUNK_BYTES)

_SCRATCH = frozenset({"data/spark", "data/postgres.new", DECLARATIONS})
"""Made anew by whoever needs it."""
_OF_A_LIFE = frozenset({"data/postgres/postmaster.pid", "data/postgres/postmaster.opts"})
"""Names the running Postgres, and its shared memory: the next one would take that for its own."""
_LOGS = "logs/airflow"
"""Of the tasks, which Airflow's pages show."""
_LOGS_OF_SERVERS = "logs/airflow/dag-processor"


def files_of(home: Path) -> Iterator[tuple[str, Path]]:
    """Every folder and file that a backup has, by its path in the home; a folder comes before what is in it.

    Raises:
        BackupError: something is a link or no file: what it stands for is not in the home.
    """
    if (home / SECRETS).exists():
        yield SECRETS, home / SECRETS
    yield from _below(home, home / "data")
    if (home / _LOGS).is_dir():
        yield "logs", home / "logs"
        yield from _below(home, home / _LOGS)


def declarations_of(settings: Settings) -> list[Path]:
    """The files of the project's folder `pipelines`, with what its declarations share."""
    return sorted(Path(settings.project, "pipelines").absolute().glob("*.py"))


def unlike_the_projects(settings: Settings) -> list[str]:
    """Names of the restored declarations that the project lacks, or has with another text."""
    own = {path.name: path.read_bytes() for path in declarations_of(settings)}
    restored = sorted((settings.home / DECLARATIONS).glob("*.py"))
    return [path.name for path in restored if own.get(path.name) != path.read_bytes()]


def space_of(folder: Path) -> int:
    """Bytes that it takes on the disk: a file that was made large in advance takes less than its size."""
    total = 0
    for root, _, names in os.walk(folder):  # which passes over what is deleted meanwhile, for the stack runs on
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(root, name).lstat().st_blocks * 512
    return total


def copy(source: Path, target: Path, advance: Advance) -> None:
    """Copies bytes and mode; where there are zeros only, the copy takes no room."""
    with source.open("rb") as reading, target.open("wb") as writing:
        write_sparsely(chunks_of(reading), writing, advance)
        os.fchmod(writing.fileno(), os.fstat(reading.fileno()).st_mode & MODES)


def write_sparsely(chunks: Iterator[bytes], writing: IO[bytes], advance: Advance) -> None:
    """Writes chunks, and holes in place of zeros."""
    size = 0
    for chunk in chunks:
        if chunk == _ZEROS[: len(chunk)]:
            writing.seek(len(chunk), os.SEEK_CUR)
        else:
            writing.write(chunk)
        size += len(chunk)
        advance(len(chunk))
    writing.truncate(size)


def described(path: str, found: Path, advance: Advance) -> Folder | Member:
    """The manifest's entry of a copied folder or file."""
    mode = found.stat().st_mode & MODES
    if found.is_dir():
        return Folder(path=path, mode=mode)
    digest = hashlib.sha256()
    with found.open("rb") as reading:
        for chunk in chunks_of(reading):
            digest.update(chunk)
            advance(len(chunk))
    return Member(path=path, mode=mode, size=found.stat().st_size, sha256=digest.hexdigest())


class Deadline:
    """Ends what takes too long while a stack stands still."""

    def __init__(self, longest_s: float) -> None:
        self.longest_s = longest_s
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def check(self) -> None:
        """Raises BackupError when it is over."""
        if self.seconds > self.longest_s:
            raise BackupError(
                f"the stack's data could not be copied within {self.longest_s:.0f} s, and longer than that it may not "
                "stand still: clients would give up. It goes on, and there is no backup. Name a file on a faster "
                "disk, or stop the stack for the while: penstock down, penstock backup FILE, penstock up"
            )


def _below(home: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    path = folder.relative_to(home).as_posix()
    if path in _SCRATCH or path == _LOGS_OF_SERVERS or not folder.exists():
        return
    _check(folder)
    yield path, folder
    for entry in sorted(folder.iterdir()):
        inner = entry.relative_to(home).as_posix()
        if entry.is_dir() and not entry.is_symlink():
            yield from _below(home, entry)
        elif inner not in _OF_A_LIFE:
            _check(entry)
            yield inner, entry


def _check(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        what = f"a link to {path.resolve()}" if stat.S_ISLNK(mode) else "no file"
        raise BackupError(f"{path} is {what}, so what it stands for would not be in the backup. Move it into the home")


def chunks_of(reading: IO[bytes]) -> Iterator[bytes]:
    """The content of a file, in pieces of `CHUNK_BYTES`."""
    while chunk := reading.read(CHUNK_BYTES):
        yield chunk


@contextmanager
def counting(on_progress: OnProgress, what: str, total: int) -> Iterator[Advance]:
    """Adds up what is done of a whole."""
    done = 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        on_progress(what, done, total)

    on_progress(what, 0, total)
    yield advance
