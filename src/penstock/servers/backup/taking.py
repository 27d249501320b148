"""A backup of the local stack, taken while it runs: copied while everything stands still, packed when it goes on."""

import gzip
import os
import shutil
import tarfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock.config import LOOPBACK, Settings
from penstock.errors import BackupError
from penstock.launcher.home import Home
from penstock.launcher.state import sync_folder
from penstock.launcher.suspension import suspended
from penstock.servers.backup.files import (
    Deadline,
    OnProgress,
    copy,
    counting,
    declarations_of,
    described,
    files_of,
    space_of,
)
from penstock.servers.backup.manifest import (
    DECLARATIONS,
    FILE_NAME,
    FORMAT,
    MODES,
    Folder,
    Manifest,
    Member,
    current_versions,
)
from penstock.servers.data_format import kind_of

LONGEST_SUSPENSION_S = 60.0
"""Half of what Kafka's producers and Spark's executors wait for an answer (delivery.timeout.ms,
spark.network.timeout)."""
_MARGIN_BYTES = 64 * 1024 * 1024


def backup(
    settings: Settings, file: Path, on_progress: OnProgress, longest_s: float = LONGEST_SUSPENSION_S
) -> Manifest:
    """Writes the backup of a home to a file (mode 0600: it holds the secrets), whole or not at all.

    A stack that runs stands still while its files are copied beside `file`, for at most `longest_s`.

    Raises:
        BackupError: the home has no data, or not all of them; there is no room; the file exists.
        ServiceError: the stack could not be suspended.
    """
    file, home = file.absolute(), settings.home
    _check_sources(settings)
    _check_target(file, home)
    try:
        with TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as scratch:
            staged, draft = Path(scratch, "home"), Path(scratch, "archive")
            moment, seconds = _copied(settings, staged, on_progress, longest_s)
            manifest = _described(settings, staged, moment, seconds, on_progress)
            _pack(manifest, staged, draft, on_progress)
            if file.exists():
                raise BackupError(f"{file} was made by somebody else meanwhile: name another file")
            draft.replace(file)
    except OSError as error:
        raise BackupError(f"no backup was written to {file}: {error}") from error
    sync_folder(file.parent)
    return manifest


def _check_sources(settings: Settings) -> None:
    """Everything that the account is taken from must be in the home, for else it is not of one moment."""
    if not (settings.home / "data").is_dir():
        raise BackupError(f"{settings.home} has no data to back up. Is it the right one? It is the setting home")
    elsewhere = {name: host for name, host in settings.hosts.model_dump().items() if host != LOOPBACK}
    if elsewhere:
        raise BackupError(
            f"the servers are not processes of this machine ({elsewhere}), so they cannot be suspended from here. Of "
            "containers: docker compose stop, copy the volumes, docker compose up --wait"
        )
    local = settings.of_local_stack()
    given = {
        "kafka.bootstrap_servers": (settings.kafka.bootstrap_servers, local.kafka.bootstrap_servers),
        "cassandra.contact_points": (settings.cassandra.contact_points, local.cassandra.contact_points),
    }
    foreign = [name for name, (here, own) in given.items() if here != own]
    if not Path(settings.spark.checkpoint).is_relative_to(settings.home / "data"):
        foreign.append("spark.checkpoint")
    if foreign:
        raise BackupError(
            f"{', '.join(foreign)} name what is outside of {settings.home}: a backup of the home alone would not be of "
            "one moment with it. Back up those servers by their own means, and of Kafka's letters keep a file: "
            "penstock dead-letters export --all --file letters.jsonl"
        )


def _check_target(file: Path, home: Path) -> None:
    if file.resolve().is_relative_to(home.resolve()):
        raise BackupError(f"{file} is inside of the home that it would be the backup of: name a file elsewhere")
    if file.exists():
        raise BackupError(f"{file} exists: name another file, or delete it")
    if not file.parent.is_dir():
        raise BackupError(f"{file.parent} is no folder: make it, or name a file in another one")
    # The copy, and the archive of it, which may not be smaller.
    needed = 2 * space_of(home / "data") + _MARGIN_BYTES
    free = shutil.disk_usage(file.parent).free
    if free < needed:
        raise BackupError(
            f"{file.parent} has {free >> 20} MiB of room, and a backup of {home} needs up to {needed >> 20} MiB there: "
            "make room, or name a file on another disk"
        )


def _copied(settings: Settings, staged: Path, on_progress: OnProgress, longest_s: float) -> tuple[datetime, float]:
    """Copies the home while its stack stands still; says of when it is, and for how long it stood."""
    staged.mkdir()
    with suspended(Home(settings.home)) as processes:
        deadline, moment = Deadline(longest_s), datetime.now(UTC)
        what = "Copying while the stack stands still" if processes else "Copying"
        found = list(files_of(settings.home))
        with counting(on_progress, what, sum(each.stat().st_size for _, each in found if each.is_file())) as done:

            def advance(size: int) -> None:
                if processes:
                    deadline.check()
                done(size)

            for path, source in found:
                if source.is_dir():
                    (staged / path).mkdir()
                    (staged / path).chmod(source.stat().st_mode & MODES | 0o700)
                else:
                    copy(source, staged / path, advance)
        seconds = deadline.seconds if processes else 0.0
    _add_declarations(settings, staged)
    return moment, seconds


def _add_declarations(settings: Settings, staged: Path) -> None:
    for source in declarations_of(settings):
        target = staged / DECLARATIONS / source.name
        target.parent.mkdir(exist_ok=True)
        copy(source, target, lambda _: None)


def _described(settings: Settings, staged: Path, moment: datetime, seconds: float, on_progress: OnProgress) -> Manifest:
    paths = sorted(path for path in staged.rglob("*"))
    with counting(
        on_progress, "Computing sha256", sum(path.stat().st_size for path in paths if path.is_file())
    ) as done:
        found = [described(path.relative_to(staged).as_posix(), path, done) for path in paths]
    return Manifest(
        format=FORMAT,
        versions=current_versions(),
        stack=kind_of(settings.home),
        taken_at=moment,
        suspended_s=round(seconds, 3),
        folders=tuple(one for one in found if isinstance(one, Folder)),
        members=tuple(one for one in found if isinstance(one, Member)),
    )


def _pack(manifest: Manifest, staged: Path, draft: Path, on_progress: OnProgress) -> None:
    """Writes the archive, and waits until it is on the disk."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as writing:
        packed = gzip.GzipFile(fileobj=writing, mode="wb", compresslevel=1)
        with packed, tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, FILE_NAME, manifest.model_dump_json().encode())
            with counting(on_progress, "Packing", manifest.size_bytes) as done:
                for member in manifest.members:
                    with (staged / member.path).open("rb") as reading:
                        archive.addfile(_entry(member.path, member.size), reading)
                    done(member.size)
        writing.flush()
        os.fsync(writing.fileno())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_entry(name, len(content)), BytesIO(content))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry
