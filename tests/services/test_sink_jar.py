"""Our own Java is compiled by the locked compiler on the Java that runs Spark, and is the same jar everywhere."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.servers import jars
from penstock.servers.jars import own
from penstock.servers.java import find_java
from penstock.servers.spark import jars_of_pyspark


def test_the_jar_is_the_locked_one_and_made_once(settings: Settings, tmp_path: Path) -> None:
    folder = copied(settings, tmp_path)
    made = own.own_jar(folder, find_java(settings), jars_of_pyspark())
    assert hashlib.sha256(made.read_bytes()).hexdigest() == own.locked_sha256()
    assert "penstock/stream/Sink.class" in zipfile.ZipFile(made).namelist()
    before = made.stat().st_mtime_ns
    assert own.own_jar(folder, find_java(settings), ()).stat().st_mtime_ns == before


def test_a_jar_of_other_sources_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "Other.java").write_text("package penstock.stream; class Other {}")
    with pytest.raises(ServiceError, match="own` writes the lock anew"):
        own.own_jar(copied(settings, tmp_path), find_java(settings), jars_of_pyspark(), tmp_path)


def copied(settings: Settings, tmp_path: Path) -> Path:
    """A folder with what the compiler needs, and without our jar."""
    jars.fetch(settings, lambda _: None)
    folder = tmp_path / "jars"
    for jar in jars.jars_of(("spark", "compiler")):
        path = jar.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(jar.path(jars.folder(settings)))
    return folder
