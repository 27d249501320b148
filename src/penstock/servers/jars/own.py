"""Our own Java, `penstock/stream/java`: compiled once a version into the cache, the same jar everywhere.

No JDK and no binary in the repository: the compiler is a locked jar, and the runtime that runs Spark runs it. The jar
is checked by the sha256 that the lock has, and so are the sources, as a jar that was made of former ones is still in
the cache; `scripts/lock` writes both when a source has changed.
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
        ServiceError: it does not compile, or it or its sources are not the locked ones.
    """
    sha256, ours = locked_sha256(), sources or SOURCES
    _require_locked("the sources in", ours, sources_sha256(ours), locked_sha256("sources_sha256"))
    path = place(folder)
    if path.exists():  # a file gets its name after its sha256 was checked
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with held(path.with_suffix(".lock"), timeout_s=None):
        if not path.exists():
            made = compiled(java, provided, folder, path.parent, ours)
            _require_locked("the jar of", ours, _sha256(made), sha256)
            made.replace(path)
    return path


def place(folder: Path) -> Path:
    """The file of the jar of this version in the `folder` of jars, whether it is there or not."""
    return folder / "penstock" / f"penstock-{locked_sha256()[:16]}.jar"


def _require_locked(what: str, sources: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise ServiceError(
            f"{what} {sources} has sha256 {found}, and {LOCK} says {wanted}. "
            "Was a source changed? `python -m penstock.servers.jars.lock own` writes the lock anew."
        )


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


def locked_sha256(of: str = "sha256") -> str:
    """The sha256 that the jar of this version must have, or with `sources_sha256` its sources."""
    text = (resources.files(__package__) / LOCK).read_text("utf-8")
    sha256: str = tomllib.loads(text)[of]
    return sha256


def sources_sha256(sources: Path = SOURCES) -> str:
    """The sha256 of all sources with their names."""
    found = {path.name: _sha256(path) for path in sources.glob("*.java")}
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def _packed(classes: Path, path: Path) -> Path:
    """Sorted, without times, and not compressed: what packs it may be of any version."""
    with zipfile.ZipFile(path, "w") as jar:
        for file in sorted(classes.rglob("*.class")):
            jar.writestr(zipfile.ZipInfo(file.relative_to(classes).as_posix(), _TIME), file.read_bytes())
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
