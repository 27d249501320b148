"""Archives of loaded classes (Java's class data sharing): the JVMs of the same jars share one, and start quicker by it.

Each JVM writes down which classes it loads. Once everything is ready and nothing is waited for, the supervisor has the
archive made of these lists, with the lowest priority (`Service.afterwards`); the next start finds it. A missing or an
unfit archive does no harm: the classes are loaded from their jars. See docs/decisions/311.
"""

import hashlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from penstock.config import Settings
from penstock.locks import HeldError, held
from penstock.servers.java import WHERE_IT_WAS_MADE, Java

log = logging.getLogger(__name__)

_TIMEOUT_S = 1800
"""For one archive. It takes 10 s of processor time, of which a busy machine may leave next to nothing."""
_WORTH = 1.1
"""How many times the classes of an archive there must be for another one."""
_KEPT_S = 30 * 24 * 3600
"""How long the archive of other jars is kept, which another version or another Java may use."""


@dataclass(frozen=True)
class Archive:
    """That of the JVMs which run on one class path. Making one writes nothing."""

    name: str
    folder: Path
    """Where archives are kept."""
    runtime: Path
    """Of Java."""
    jars: tuple[Path, ...]
    """As the command line names them; of a folder's `*` all jars in it."""
    run: Path
    """The folder in which each service has its own."""

    @property
    def file(self) -> Path:
        """Named by what it depends on now, so that a new Java or a new jar has a new one.

        Java refuses an archive of a jar with another time or size, so it has its name once the jars are there.
        """
        depends_on = (self.runtime / "release", *_expanded(self.jars))
        digest = hashlib.sha256(repr([*map(_stamp, depends_on)]).encode()).hexdigest()[:16]
        return self.folder / f"{self.name}-{digest}.jsa"

    def loaded(self, service: str, process: str = "") -> Path:
        """Where a JVM of this service writes down what it loads; `process` tells two of one service apart."""
        return self.run / service / f"{process}{self.name}.classes"

    def options(self, service: str) -> tuple[str, ...]:
        """Of a JVM of this service. By default (`-Xshare:auto`) Java goes on without what it cannot use."""
        return (
            *WHERE_IT_WAS_MADE,
            f"-XX:SharedArchiveFile={self.file}",
            f"-XX:DumpLoadedClassList={self.loaded(service)}",
        )

    @property
    def command(self) -> tuple[str, ...]:
        """The command that makes the archive, where it is not there yet."""
        arguments = (self.name, self.folder, self.runtime, self.run, *self.jars)
        return (sys.executable, "-m", __name__, *map(str, arguments))


def archive(settings: Settings, java: Java, name: str, jars: Sequence[Path]) -> Archive:
    """That of the JVMs of this home with these jars, as the command line names them."""
    return Archive(name, settings.cache / "classes", java.runtime, tuple(jars), settings.home / "run")


def _expanded(jars: Iterable[Path]) -> Iterator[Path]:
    for jar in jars:
        yield from sorted(jar.parent.glob("*.jar")) if jar.name == "*" else (jar,)


def _stamp(file: Path) -> tuple[str, int, int]:
    with suppress(FileNotFoundError):
        found = file.stat()
        return str(file), found.st_size, found.st_mtime_ns
    return str(file), 0, 0


def make(wanted: Archive) -> None:
    """Makes the archive of all that the JVMs of this home loaded, where there is none, or one that lacks much of it."""
    wanted.folder.mkdir(parents=True, exist_ok=True)
    file = wanted.file
    with suppress(HeldError), held(file.with_suffix(".lock")):
        listed = file.with_suffix(".classes")
        known = _classes([listed]) if file.exists() else ()
        classes = tuple(dict.fromkeys((*known, *_classes(sorted(wanted.run.glob(f"*/*{wanted.name}.classes"))))))
        if len(classes) > _WORTH * len(known):
            listed.write_text("\n".join(classes) + "\n", "utf-8")
            _dump(wanted, listed, file)
            _delete_old(wanted.name, file)


def _classes(lists: Sequence[Path]) -> tuple[str, ...]:
    """Of all lists, each once. The last line of a JVM that is running, or was killed, may be half of one."""
    whole = (file.read_text("utf-8", "replace").rpartition("\n")[0] for file in lists if file.exists())
    lines = dict.fromkeys(line for text in whole for line in text.split("\n"))
    return tuple(line for line in lines if line[:1] not in ("", "#"))


def _dump(wanted: Archive, listed: Path, file: Path) -> None:
    """With the collector that can put strings and mirrors of classes in; any other can use the rest."""
    began, made = time.monotonic(), file.with_suffix(".new")
    options = ("-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={made}", "-XX:+UseG1GC")
    command = (
        str(wanted.runtime / "bin" / "java"),
        *options,
        "-Xmx384m",
        "-Xlog:disable",
        "-Xlog:all=error",
        "-cp",
        os.pathsep.join(map(str, wanted.jars)),
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)  # noqa: S603 - ours
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command[0], done.stdout[-2000:] + done.stderr[-2000:])
        made.replace(file)
    finally:
        made.unlink(missing_ok=True)
    log.info("%s: %.0f MB, made in %.0f s", file, file.stat().st_size / 1e6, time.monotonic() - began)


def _delete_old(name: str, file: Path) -> None:
    for other in file.parent.glob(f"{name}-*"):
        if other.stem != file.stem and time.time() - other.stat().st_mtime > _KEPT_S:
            other.unlink(missing_ok=True)


def main() -> None:
    """Of the command: a failure is logged, and Java goes on without the archive."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    name, folder, runtime, run, *jars = sys.argv[1:]
    wanted = Archive(name, Path(folder), Path(runtime), tuple(map(Path, jars)), Path(run))
    try:
        make(wanted)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stdout", "")
        log.warning("%s could not be made; servers start without it, only slower. %s\n%s", wanted.file, error, said)


if __name__ == "__main__":
    main()
