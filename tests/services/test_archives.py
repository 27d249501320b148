"""An archive of classes is made by the real Java of what it loaded, is used, and does no harm where it is damaged."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.config import Settings
from penstock.servers import jars
from penstock.servers.archives import Archive, archive
from penstock.servers.java import ARCHIVE, LOADED, Java, find_java

MAIN = "kafka.tools.StorageTool"


def java_runs(java: Path, *options: str, **environment: str) -> str:
    """What it logs about classes: the smallest program that loads some from a jar."""
    return output(java, *options, "-Xlog:class+load", **environment)


def output(java: Path, *options: str, classpath: str = "", **environment: str) -> str:
    command = [java, *options, "-cp", classpath or kafkas(), MAIN, "random-uuid"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True).stdout


def kafkas() -> str:
    return os.pathsep.join(str(path) for path in jars.classpath(Settings().resolved(), "kafka"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archives")
    settings = Settings().resolved()
    jars.fetch(settings, lambda _: None, ("kafka",))
    mine = settings.model_copy(update={"home": folder / "home"})
    one = replace(archive(mine, find_java(mine), "kafka", jars.classpath(mine, "kafka")), folder=folder)
    one.loaded("here").parent.mkdir(parents=True)
    java_runs(java_of(one), *one.options("here"))
    assert not one.file.exists()
    subprocess.run(one.command, capture_output=True, timeout=300, check=True)
    return one


def java_of(one: Archive) -> Path:
    return one.runtime / "bin" / "java"


def damaged(made: Archive, folder: Path, content: bytes | None) -> Archive:
    """The same one with this content, or absent, in a folder of its own."""
    folder.mkdir()
    other = replace(made, folder=folder)
    if content is not None:
        other.file.write_bytes(content)
    return other


def shared(log: str) -> bool:
    return f"{MAIN} source: shared objects file" in log


def test_classes_come_from_the_archive(made: Archive) -> None:
    assert shared(java_runs(java_of(made), *made.options("here")))


def test_what_spark_starts_finds_it_by_its_environment(made: Archive) -> None:
    given = {ARCHIVE: str(made.file), LOADED: str(made.loaded("here", "executor-"))}
    assert shared(java_runs(find_java(Settings().resolved()).home / "bin" / "java", **given))
    assert made.loaded("here", "executor-").exists()


def test_a_damaged_one_and_none_do_no_harm(made: Archive, tmp_path: Path) -> None:
    half = made.file.read_bytes()[: made.file.stat().st_size // 2]
    for name, content in {"half": half, "foreign": b"nothing of the kind" * 1_000, "absent": None}.items():
        other = damaged(made, tmp_path / name, content)
        assert not shared(java_runs(java_of(made), *other.options("here")))


def test_java_says_nothing_of_it(made: Archive, tmp_path: Path) -> None:
    """Spark's launcher prints a command that a shell reads: nothing else may stand there."""
    half = damaged(made, tmp_path / "half", made.file.read_bytes()[: made.file.stat().st_size // 2])
    for one in (made, half, damaged(made, tmp_path / "absent", None)):
        assert re.fullmatch(r"[\w-]{22}\n", output(java_of(made), *one.options("here")))
    others = os.pathsep.join(reversed(kafkas().split(os.pathsep)))
    assert re.fullmatch(r"[\w-]{22}\n", output(java_of(made), *made.options("here"), classpath=others))


def test_it_is_made_again_when_it_lacks_much(made: Archive) -> None:
    before = made.file.stat()
    subprocess.run(made.command, capture_output=True, timeout=300, check=True)
    assert made.file.stat().st_ino == before.st_ino
    one = replace(made, folder=made.folder / "other")
    one.folder.mkdir()
    one.file.touch()
    one.file.with_suffix(".classes").write_text("java/lang/Object\n", "ascii")
    subprocess.run(one.command, capture_output=True, timeout=300, check=True)
    assert one.file.stat().st_size > before.st_size // 2


def test_another_jar_or_another_java_has_another(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"1")
    java = Java(tmp_path, tmp_path)
    one, all_of_it = (archive(settings, java, "a", [tmp_path / name]) for name in ("a.jar", "*"))
    first = one.file
    assert one.file == first == all_of_it.file
    assert replace(one, runtime=tmp_path / "b").file != first
    (tmp_path / "a.jar").write_bytes(b"12")
    assert one.file != first
    assert all_of_it.file == one.file


def test_its_name_is_that_of_the_jars_when_they_are_there(settings: Settings, tmp_path: Path) -> None:
    """A first start asks for the archive before it has fetched the jars."""
    asked = archive(settings, Java(tmp_path, tmp_path), "a", [tmp_path / "a.jar"])
    command = asked.command
    (tmp_path / "a.jar").write_bytes(b"1")
    assert asked.command == command
    assert str(asked.file) not in command
