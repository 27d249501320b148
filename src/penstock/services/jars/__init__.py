"""The Java side of the stack: jars by coordinates and sha256, fetched once into a cache that every home shares.

`NAME.toml` declares a set, `NAME.lock.toml` beside it lists its files; `scripts/lock` writes the lock.
"""

from collections.abc import Callable
from pathlib import Path

from penstock.config import Settings
from penstock.services.jars.locked import Jar, every_jar, locked, missing
from penstock.services.jars.progress import Progress

__all__ = ["Jar", "Progress", "classpath", "fetch", "folder"]


def folder(settings: Settings) -> Path:
    """Where the jars are kept."""
    return settings.cache / "jars"


def classpath(settings: Settings, name: str) -> tuple[Path, ...]:
    """The files of the set `kafka`, `cassandra` or `spark`, whether fetched yet or not."""
    return tuple(jar.path(folder(settings)) for jar in locked(name))


def fetch(settings: Settings, on_progress: Callable[[Progress], None]) -> None:
    """Fetches what the cache lacks of all sets, in parallel, and checks each file's sha256 on the way.

    When nothing is missing, this looks at names and sizes only and needs no network. Interrupted or killed, it leaves
    whole files or none, and the next call goes on from there. Of two calls at once, in whatever processes, one fetches
    and the other waits. `on_progress` is called in the calling thread, the last time when all is there.

    Raises:
        DownloadError: a jar is nowhere to be had, or is not the locked one.
    """
    jars = every_jar()
    if missing(jars, folder(settings)):
        # The HTTP client takes longer to import than a warm call may take.
        from penstock.services.jars.download import addresses, download  # noqa: PLC0415

        download(jars, folder(settings), addresses(), on_progress)
    else:
        on_progress(Progress.complete(jars))
