"""Our own Java, `penstock/stream/java`: compiled once a version into the cache, the same jar everywhere.

No JDK and no binary in the repository: the compiler is a locked jar, and the runtime that runs Spark runs it. The jar
is checked by the sha256 that the lock has; `scripts/lock` writes it when a source has changed.
"""

import hashlib
import os
import subprocess
import tomllib
import zipfile
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from penstock.errors import ServiceError
from penstock.locks import held
from penstock.servers.jars.locked import locked

if TYPE_CHECKING:
    from penstock.servers.java import Java

LOCK = "own.lock.toml"
SOURCES = Path(str(resources.files("penstock"))) / "stream" / "java"
_TIMEOUT_S = 300
# Of every entry: the earliest that a zip file can say.
_TIME = (1980, 1, 1, 0, 0, 0)


def own_jar(folder: Path, java: "Java", provided: Iterable[Path], sources: Path | None = None) -> Path:
    """The jar in the `folder` of jars, made when it is not there yet. `provided` are the jars of pyspark; the `sources`
    are ours unless given.

    Of two calls at once, in whatever processes, one compiles and the other waits.

    Raises:
        ServiceError: it does not compile, or is not the locked one.
    """
    sha256 = locked_sha256()
    path = folder / "penstock" / f"penstock-{sha256[:16]}.jar"
    if path.exists():  # a file gets its name after its sha256 was checked
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with held(path.with_suffix(".lock"), timeout_s=None):
        if not path.exists():
            made = compiled(java, provided, folder, path.parent, sources or SOURCES)
            if _sha256(made) != sha256:
                raise ServiceError(
                    f"the jar of {sources or SOURCES} has sha256 {_sha256(made)}, and {LOCK} says {sha256}. "
                    "Was a source changed? `python -m penstock.servers.jars.lock own` writes the lock anew."
                )
            made.replace(path)
    return path


def compiled(java: "Java", provided: Iterable[Path], folder: Path, into: Path, sources: Path) -> Path:
    """A jar of the sources: byte for byte the same for the same sources, compiler and class path."""
    [compiler] = (jar.path(folder) for jar in locked("compiler"))
    classpath = [*provided, *(jar.path(folder) for jar in locked("spark"))]
    with TemporaryDirectory(dir=into) as place:
        options = ("-17", "-proc:none", "-nowarn", "-g", "-encoding", "UTF-8")
        files = sorted(str(path) for path in sources.glob("*.java"))
        done = subprocess.run(  # noqa: S603 - the locked compiler
            java.command(
                "org.eclipse.jdt.internal.compiler.batch.Main",
                [compiler],
                "512m",
                ("-XX:TieredStopAtLevel=1",),
                (*options, "-cp", os.pathsep.join(map(str, classpath)), "-d", place, *files),
            ),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise ServiceError(f"{sources} does not compile: {done.stdout}{done.stderr}")
        return _packed(Path(place), into / "penstock.jar.new")


def locked_sha256() -> str:
    """The sha256 that the jar of this version must have."""
    text = (resources.files(__package__) / LOCK).read_text("utf-8")
    sha256: str = tomllib.loads(text)["sha256"]
    return sha256


def _packed(classes: Path, path: Path) -> Path:
    """Sorted, without times, and not compressed: what packs it may be of any version."""
    with zipfile.ZipFile(path, "w") as jar:
        for file in sorted(classes.rglob("*.class")):
            jar.writestr(zipfile.ZipInfo(file.relative_to(classes).as_posix(), _TIME), file.read_bytes())
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
