"""This machine: Python, memory, disk, folders, what its environment does to the network."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile, gettempdir

import psutil

from penstock import extras
from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.errors import NetworkError
from penstock.network import tls
from penstock.network.proxies import PROXY_VARIABLES, trusted

_GIB = 1024**3
# README: what the whole stack takes.
NEEDED_MEMORY_BYTES = 4 * _GIB
NEEDED_DISK_BYTES = 3 * _GIB
_PYTHONS = ((3, 11), (3, 14))


def parts() -> Finding:
    """Which parts of Penstock are installed."""
    absent = extras.absent_extras()
    if not absent:
        return fine("parts", "all are installed: declaration, ingest, stream, Airflow and the local servers")
    shown = ", ".join(f"penstock[{extra}]" for extra in absent)
    return note("parts", f"not installed: {shown}. Each is installed by `pip install` and that name in quotes")


def python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Whether pyspark, Airflow and the Cassandra driver run on this Python."""
    lowest, highest = _PYTHONS
    shown = ".".join(map(str, version))
    if lowest <= version <= highest:
        return fine("python", shown)
    return failed("python", f"this is Python {shown}", "Install Penstock with Python 3.11 to 3.14")


def memory(available_bytes: int | None = None, needed_bytes: int = NEEDED_MEMORY_BYTES) -> Finding:
    """Whether the local stack fits beside what runs."""
    free = psutil.virtual_memory().available if available_bytes is None else available_bytes
    if free >= needed_bytes:
        return fine("memory", f"{free / _GIB:.1f} GiB available")
    return failed(
        "memory",
        f"{free / _GIB:.1f} GiB available, the local stack takes {needed_bytes / _GIB:.1f}",
        "End other programs, lower PENSTOCK_HEAPS_…, or start less: penstock up stream",
    )


def folders(settings: Settings, needed_bytes: int = NEEDED_DISK_BYTES) -> Iterator[Finding]:
    """Whether home and cache can be written, and have room."""
    for name, folder in (("home", settings.home), ("cache", settings.cache)):
        place = next(each for each in (folder, *folder.parents) if each.exists())
        try:
            with NamedTemporaryFile(dir=place):
                pass
        except OSError as error:
            yield failed(name, f"{folder} cannot be written: {error}", f"Name another folder: PENSTOCK_{name.upper()}")
            continue
        free = shutil.disk_usage(place).free
        if free < needed_bytes:
            yield failed(
                name,
                f"{folder} has {free / _GIB:.1f} GiB free, {needed_bytes / _GIB:.1f} are needed",
                f"Make room, or name a folder on another disk: PENSTOCK_{name.upper()}",
            )
        else:
            yield fine(name, f"{folder}, {free / _GIB:.1f} GiB free")


def executable_tmp(folder: str | None = None) -> Finding:
    """Whether programs may run from Java's folder for temporary files: Spark's native codecs are unpacked there."""
    # On Linux that is /tmp whatever TMPDIR says: os::get_temp_directory in os_linux.cpp of OpenJDK 17.
    place = folder or ("/tmp" if sys.platform == "linux" else gettempdir())  # noqa: S108 - Java's own choice
    with NamedTemporaryFile("w", dir=place, suffix=".sh", delete=False) as file:
        file.write("#!/bin/sh\nexit 0\n")
    try:
        Path(file.name).chmod(0o700)
        subprocess.run([file.name], check=True)  # noqa: S603 - the file written above
    except PermissionError:
        return failed("tmp", f"{place} forbids execution (noexec)", f"Allow it: mount -o remount,exec {place}")
    finally:
        Path(file.name).unlink()
    return fine("tmp", f"programs may run from {place}")


def trust() -> Finding:
    """Whether the authorities that the environment names can be used: every request over HTTP needs them."""
    try:
        tls.client_context("", None, verify_hostname=True)
    except NetworkError as error:
        return failed("trust", error.what, error.remedy)
    return fine("trust", " and ".join(filter(None, trusted())) or "the system's store")


def proxies(environ: Mapping[str, str] = os.environ) -> Finding:
    """Which proxies the environment names; none of them stands before this machine or the stack's own hosts."""
    named = [name for name in PROXY_VARIABLES if environ.get(name)]
    if not named:
        return fine("proxies", "none in the environment")
    return fine("proxies", f"{', '.join(named)} are set; this machine and the stack's own hosts are reached directly")
