"""Java and its jars: the right line of each, whole, and the bytes that were locked."""

import hashlib
import re
from collections.abc import Iterable, Iterator

from penstock import extras
from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.errors import ConfigError
from penstock.servers import jars
from penstock.servers.jars.locked import Jar, jars_of, locked
from penstock.servers.java import find_java
from penstock.servers.spark import SCALA

_SCALA = re.compile(r"_(2\.1\d)$")


def runtime(settings: Settings) -> Finding:
    """Whether there is a Java 17."""
    try:
        return fine("java", f"17, {find_java(settings).runtime}")
    except ModuleNotFoundError as error:
        return note("java", str(extras.not_installed(error)))
    except (ConfigError, OSError) as error:
        return failed(
            "java", str(error), "unset PENSTOCK_JAVA_HOME, or java_home in penstock.toml, takes the packaged runtime"
        )


def cache(settings: Settings) -> Finding:
    """Whether the fetched jars are the locked ones, byte for byte."""
    folder, wanted = jars.folder(settings), jars_of(jars.needed(settings))
    absent, spoiled = [], []
    for jar in wanted:
        path = jar.path(folder)
        if not path.exists():
            absent.append(jar)
        elif hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256:
            spoiled.append(path)
    if spoiled:
        shown = ", ".join(map(str, spoiled[:3]))
        return failed("jars", f"{len(spoiled)} are not the locked ones: {shown}", f"rm {shown.replace(',', '')}")
    if absent:
        return note("jars", f"{len(absent)} are not fetched yet; `penstock up` fetches them, which needs the network")
    return fine("jars", f"{len(wanted)} in {folder} are the locked ones")


def lines(chosen: Iterable[Jar] | None = None, spark: str | None = None) -> Iterator[Finding]:
    """Whether Scala, Spark and its Kafka source are of one line: else classes are missing when the stream starts."""
    spark = spark or extras.version("pyspark")
    chosen = tuple(locked("spark") if chosen is None else chosen)
    scala = {found[1] for jar in chosen if (found := _SCALA.search(jar.artifact))}
    if scala != {SCALA}:
        yield failed("jar lines", f"jars of Scala {', '.join(sorted(scala))}, Spark {spark} is {SCALA}", _LOCK)
    for jar in chosen:
        if jar.group == "org.apache.spark" and jar.version != spark:
            yield failed("jar lines", f"{jar} beside pyspark {spark}", _LOCK)
        if jar.artifact.startswith("spark-cassandra-connector_"):
            yield fine("jar lines", f"Spark {spark}, Scala {SCALA}, Cassandra connector {jar.version}")


_LOCK = (
    "Install Penstock anew, in an environment of its own: its locks name jars and Python packages that belong together"
)
