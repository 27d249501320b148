"""The Java side of the stack: jars by coordinates and sha256, fetched once into a cache that every home shares.

`NAME.toml` declares a set, `NAME.lock.toml` beside it lists its files; `scripts/lock` writes the lock.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.servers.jars.locked import SETS, Jar, jars_of, locked, missing
from penstock.servers.jars.progress import Progress

if TYPE_CHECKING:  # an image fetches its jars before it has the rest of us
    from penstock.config import Settings

__all__ = ["SETS", "Jar", "Progress", "classpath", "fetch", "folder", "jars_of", "needed"]


def folder(settings: "Settings") -> Path:
    """Where the jars are kept."""
    return settings.cache / "jars"


def classpath(settings: "Settings", name: str) -> tuple[Path, ...]:
    """The files of one of `SETS`, whether fetched yet or not."""
    return tuple(jar.path(folder(settings)) for jar in locked(name))


def needed(settings: "Settings") -> tuple[str, ...]:
    """The sets that a stack of these settings runs on: of the two Kafkas only one."""
    unwanted = "kafka" if settings.stack.kafka == "zookeeper" else "zookeeper"
    return tuple(name for name in SETS if name != unwanted)


def fetch(settings: "Settings", on_progress: Callable[[Progress], None], names: Sequence[str] | None = None) -> None:
    """Fetches what the cache lacks, in parallel, and checks each file's sha256 on the way.

    Of the sets that `settings` need, or of those of the `names`, e.g. `SETS` for an image that runs in every mode.

    When nothing is missing, this looks at names and sizes only and needs no network. Interrupted or killed, it leaves
    whole files or none, and the next call goes on from there. Of two calls at once, in whatever processes, one fetches
    and the other waits. `on_progress` is called in the calling thread, the last time when all is there.

    Raises:
        DownloadError: a jar is nowhere to be had, or is not the locked one.
    """
    jars = jars_of(needed(settings) if names is None else names)
    if missing(jars, folder(settings)):
        # The HTTP client takes longer to import than a warm call may take.
        from penstock.servers.jars.download import download, repository  # noqa: PLC0415

        mirror = settings.downloads.maven_repository.get_secret_value()
        download(jars, folder(settings), repository(mirror), on_progress)
    else:
        on_progress(Progress.complete(jars))
