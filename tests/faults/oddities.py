"""Servers whose wall clock is off and whose disk is slow, by a library that is loaded into them (`oddities.c`)."""

import shutil
import struct
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import PenstockError

_SOURCE = Path(__file__).with_name("oddities.c")
_FORMAT = "=qq"


def lacking() -> str:
    """Why there can be none here; empty where there can."""
    return "" if shutil.which("cc") else "no C compiler (cc)"


def build(folder: Path) -> Path:
    """Compiles the library into the folder.

    Raises:
        PenstockError: the compiler refuses; with what it says.
    """
    library = folder / "oddities.so"
    command = ("cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PenstockError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return library


def environment(library: Path, file: Path) -> Mapping[str, str]:
    """What a process has that is to be as odd as the file says, with all that it starts."""
    return {"LD_PRELOAD": str(library), "FAULTS_ODDITIES": str(file)}


def write(file: Path, *, ahead_s: int = 0, slower_ms: int = 0) -> None:
    """Into the file as it is: the servers have it in their memory."""
    with file.open("r+b" if file.exists() else "wb") as opened:
        opened.write(struct.pack(_FORMAT, ahead_s, slower_ms))


@contextmanager
def odd(file: Path, *, ahead_s: int = 0, slower_ms: int = 0) -> Iterator[None]:
    """Until the end of the block."""
    write(file, ahead_s=ahead_s, slower_ms=slower_ms)
    try:
        yield
    finally:
        write(file)
