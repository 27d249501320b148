"""Small disks for tests, and how to fill them."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEBIBYTE = 1024 * 1024
_ATTEMPTS = 20


@contextmanager
def small_disk(place: Path, size_mib: int, *options: str) -> Iterator[None]:
    """Mounted at `place` until the end of the block, with more `options` of mount."""
    place.mkdir(parents=True)
    command = ("mount", "-t", "tmpfs", "-o", ",".join((f"size={size_mib}m", *options)), "tmpfs", str(place))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"a test of disks mounts a small one, and may not (be root): {done.stderr}"
    try:
        yield
    finally:
        subprocess.run(("umount", str(place)), check=True)


@contextmanager
def filled(place: Path, but_mib: int) -> Iterator[None]:
    """Only so much room, until the end of the block, also while a server writes."""
    ballast = place / "ballast"
    try:
        with ballast.open("wb") as file:
            for _ in range(_ATTEMPTS):
                room = shutil.disk_usage(place).free - but_mib * MEBIBYTE
                if room <= 0:
                    break
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), room)
                except OSError as error:
                    if error.errno != errno.ENOSPC:  # another one has taken some of it: look again
                        raise
            else:
                raise AssertionError(f"{place} has room for {room} bytes more after {_ATTEMPTS} attempts to fill it")
        yield
    finally:
        ballast.unlink()
