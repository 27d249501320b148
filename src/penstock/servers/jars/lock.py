"""`python -m penstock.servers.jars.lock`: resolves every `NAME.toml` and writes `NAME.lock.toml` beside it.

`scripts/lock` calls this. It asks the Maven repositories anew, so it needs the network and about two minutes. After a
change of our own Java alone, `python -m penstock.servers.jars.lock own` is enough.
"""

import hashlib
import json
import logging
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import truststore
from jgo.maven import Artifact, Dependency, MavenContext

from penstock.config import Settings, read_settings
from penstock.servers import jars
from penstock.servers.jars import own
from penstock.servers.jars.download import repository
from penstock.servers.jars.locked import SETS, spec_file
from penstock.servers.java import find_java
from penstock.servers.spark import jars_of_pyspark

log = logging.getLogger(__name__)

_HEADER = "# Written by scripts/lock; do not edit.\n"


def lock(name: str, context: MavenContext) -> str:
    """The text of one lock."""
    provided = _jars_of_pyspark() if name == "spark" else frozenset()
    artifacts = [artifact for artifact in _resolve(name, context) if artifact.artifactId not in provided]
    artifacts.sort(key=lambda artifact: tuple(artifact.key))
    return _HEADER + "".join(_entry(artifact) for artifact in artifacts)


def _resolve(name: str, context: MavenContext) -> list[Artifact]:
    coordinates = tomllib.loads(spec_file(name).read_text("utf-8"))["dependencies"]["coordinates"]
    # jgo lets the parent POM of each coordinate govern the versions of all others unless told not to by "!"; that of
    # log4j-slf4j-impl would swap Kafka's own client library for another version. This is what Maven does.
    direct, transitive = context.resolver.resolve([context.create_dependency(f"{text}!") for text in coordinates])
    found: list[Dependency] = [*direct, *(one for one in transitive if one.scope in {"compile", "runtime"})]
    return list({one.artifact.key: one.artifact for one in found}.values())


def _jars_of_pyspark() -> frozenset[str]:
    """Artifact ids of the jars in the pyspark wheel, whatever their version: no class may come from two jars."""
    files = metadata.files("pyspark") or []
    names = [file.stem for file in files if file.suffix == ".jar" and file.parent.name == "jars"]
    # Which hyphen begins the version cannot be told (`spark-sql-kafka-0-10_2.13-4.2.0`), so every prefix counts.
    return frozenset(name[:i] for name in names for i, letter in enumerate(name) if letter == "-")


def _entry(artifact: Artifact) -> str:
    content = artifact.resolve().read_bytes()
    fields: dict[str, Any] = {
        "groupId": artifact.groupId,
        "artifactId": artifact.artifactId,
        "version": artifact.version,
    }
    if artifact.classifier:
        fields["classifier"] = artifact.classifier
    fields |= {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    # A JSON string or number is a TOML one.
    return "\n[[dependencies]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())


def lock_own(settings: Settings) -> str:
    """The text of the lock of our own jar."""
    jars.fetch(settings, lambda _: None, ("spark", "compiler"))
    with TemporaryDirectory() as place:
        jar = own.compiled(find_java(settings), jars_of_pyspark(), jars.folder(settings), Path(place), own.SOURCES)
        sha256 = hashlib.sha256(jar.read_bytes()).hexdigest()
    return f'{_HEADER}\nsha256 = "{sha256}"\nsources_sha256 = "{own.sources_sha256()}"\n'


def main() -> None:
    """Writes all locks into the source tree, or only that of our own jar."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = read_settings()
    if sys.argv[1:] != ["own"]:
        truststore.inject_into_ssl()  # jgo brings an HTTP client of its own
        mirror = settings.downloads.maven_repository.get_secret_value()
        with TemporaryDirectory() as cache:
            context = MavenContext(repo_cache=Path(cache), remote_repos={"central": repository(mirror)})
            for name in SETS:
                _write(f"{name}.lock.toml", lock(name, context))
    _write(own.LOCK, lock_own(settings))


def _write(name: str, text: str) -> None:
    file = Path(__file__).with_name(name)
    file.write_text(text, "utf-8")
    log.info("locked %s", file)


if __name__ == "__main__":
    main()
