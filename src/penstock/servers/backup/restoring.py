"""A backup back into an empty home: each file is compared with its sha256 before anything is in its place."""

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from penstock.config import Settings
from penstock.errors import BackupError, ServiceError
from penstock.launcher.home import Home
from penstock.launcher.state import living_supervisor
from penstock.locks import HeldError, folder_held
from penstock.servers import unprivileged
from penstock.servers.backup.files import Advance, OnProgress, chunks_of, counting, write_sparsely
from penstock.servers.backup.manifest import FILE_NAME, Manifest, Member, parsed

_MANIFEST_BYTES = 256 * 1024 * 1024
"""A longer one is no manifest of ours: that of a million files has 150 MB."""
_PADDING_BYTES = 1024 * 1024
"""More than follows the last file in an archive."""
_MARGIN_BYTES = 64 * 1024 * 1024


def restore(settings: Settings, file: Path, on_progress: OnProgress) -> Manifest:
    """Fills an empty or new home from a backup: with all of it or, where it fails, with nothing.

    Killed, it leaves a home in which nothing starts, and the next call begins anew.

    Raises:
        BackupError: the file is damaged, no backup, or of something newer; or the home is not empty, has no room, or
            is being filled by another restore.
    """
    home = Home(settings.home)
    if living_supervisor(home):
        raise BackupError(f"a stack runs in {home.path}: name another folder for the restored one (--home)")
    with ExitStack() as held:
        try:
            with gzip.open(file) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
                manifest = _manifest(archive, str(file))
                _check_room(home.path, manifest)
                held.enter_context(_alone(home))
                _make_empty(home)
                with _all_or_nothing(home):
                    _extract(archive, manifest, home.restoring, str(file), on_progress)
                    packed.read(_PADDING_BYTES)  # to the end, where the whole is checked
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _damaged(str(file), str(error)) from error
        except OSError as error:  # of reading as well as of writing
            raise BackupError(f"{file} could not be restored into {home.path}: {error}") from error
        _settle(home)
    return manifest


def _manifest(archive: tarfile.TarFile, name: str) -> Manifest:
    first = archive.next()
    content = (
        archive.extractfile(first) if first and first.name == FILE_NAME and first.size <= _MANIFEST_BYTES else None
    )
    if content is None:
        raise _damaged(name, f"its first file is not {FILE_NAME}")
    return parsed(content.read(), name)


def _check_room(home: Path, manifest: Manifest) -> None:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free, needed = shutil.disk_usage(there).free, manifest.size_bytes + _MARGIN_BYTES
    if free < needed:
        raise BackupError(
            f"{there} has {free >> 20} MiB of room, and what is in the backup needs up to {needed >> 20} MiB: make "
            "room, or name a folder on another disk (--home)"
        )


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """What one restore writes looks to another one like what a killed one left, which is cleared away."""
    home.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with folder_held(home.path):
            yield
    except HeldError as error:
        raise BackupError(f"another restore is filling {home.path}: wait for it, or name another folder") from error


def _make_empty(home: Home) -> None:
    try:
        home.make_empty()
    except ServiceError as error:
        raise BackupError(str(error)) from error


def _extract(archive: tarfile.TarFile, manifest: Manifest, folder: Path, name: str, on_progress: OnProgress) -> None:
    """Writes what the manifest lists and nothing else: of the archive's own paths, kinds and rights none counts."""
    for each in sorted(manifest.folders, key=lambda each: each.path):
        (folder / each.path).mkdir()
        (folder / each.path).chmod(each.mode | 0o700)
    missing = {member.path: member for member in manifest.members}
    with counting(on_progress, "Restoring", manifest.size_bytes) as done:
        while entry := archive.next():  # after the manifest
            member = missing.pop(entry.name, None)
            content = archive.extractfile(entry) if entry.isreg() else None
            if member is None or content is None or entry.size != member.size:
                raise _damaged(name, f"{entry.name!r} is not what its {FILE_NAME} says")
            _write(content, member, folder / member.path, name, done)
    if missing:
        raise _damaged(name, f"{len(missing)} files are not in it, e.g. {next(iter(missing))}")


def _write(content: IO[bytes], member: Member, target: Path, name: str, done: Advance) -> None:
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in chunks_of(content):
            digest.update(chunk)
            yield chunk

    with target.open("xb") as writing:
        os.fchmod(writing.fileno(), member.mode & ~0o111)
        write_sparsely(hashed(), writing, done)
    if digest.hexdigest() != member.sha256:
        raise _damaged(name, f"{member.path} has another sha256")


@contextmanager
def _all_or_nothing(home: Home) -> Iterator[None]:
    """Leaves the home as it was found where the block fails: what was there already is not in that folder."""
    try:
        yield
    except BaseException:
        shutil.rmtree(home.restoring, ignore_errors=True)
        raise


def _settle(home: Home) -> None:
    """Brings what was written into its place. While `restoring` is there, nothing starts."""
    data = home.restoring / "data" / "postgres"
    for path in (data, *data.rglob("*")) if data.exists() else ():
        unprivileged.give(path)
    os.sync()
    for part in sorted(home.restoring.iterdir()):
        part.replace(home.path / part.name)
    home.restoring.rmdir()
    home.make()


def _damaged(name: str, why: str) -> BackupError:
    return BackupError(f"{name} is damaged, or no backup of Penstock: {why}. Nothing was restored; use another backup")
