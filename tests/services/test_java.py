"""Java is found, checked and started the same way for every server."""

import subprocess
from pathlib import Path

import pytest

from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.servers.java import Java, find_java


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr


def with_java(settings: Settings, java_home: Path) -> Settings:
    return settings.model_copy(update={"java_home": str(java_home), "cache": java_home / "cache"})


def pretended(folder: Path, version: str) -> Path:
    """A folder whose `bin/java` says that it is of that version and then repeats its arguments."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '    java.specification.version = {version}' >&2\nprintf '[%s]' \"$@\" >&2\n")
    java.chmod(0o755)
    return folder


def test_packaged_runtime_is_java_17(settings: Settings) -> None:
    java = find_java(settings)
    assert 'version "17.' in run(java.runtime / "bin" / "java", "-version")


def test_home_starts_what_spark_asks_for(settings: Settings) -> None:
    java = find_java(settings)
    assert 'version "17.' in run(java.home / "bin" / "java", "--add-modules=jdk.incubator.vector", "-version")


def test_home_leaves_every_other_argument_alone(settings: Settings, tmp_path: Path) -> None:
    java = find_java(with_java(settings, pretended(tmp_path / "it's mine", "17")))
    arguments = ["-cp", "a b:c", "", "--add-modules=jdk.incubator.vector", "--add-modules=ALL", "$HOME 'x'", "*"]
    said = run(java.home / "bin" / "java", *arguments)
    assert said.endswith("[-cp][a b:c][][--add-modules=ALL][$HOME 'x'][*]")


def test_home_is_the_process_it_starts(settings: Settings, tmp_path: Path) -> None:
    home = pretended(tmp_path / "java", "17")
    (home / "bin" / "java").write_text("#!/bin/sh\necho '    java.specification.version = 17' >&2; echo $$ >&2\n")
    java = find_java(with_java(settings, home))
    with subprocess.Popen([java.home / "bin" / "java"], stderr=subprocess.PIPE, text=True) as process:
        assert process.communicate(timeout=60)[1].split()[-1] == str(process.pid)


def test_java_of_the_user_is_taken(settings: Settings, tmp_path: Path) -> None:
    mine = pretended(tmp_path / "mine", "17")
    assert find_java(with_java(settings, mine)).runtime == mine


def test_two_runtimes_have_two_homes(settings: Settings, tmp_path: Path) -> None:
    mine = with_java(settings, pretended(tmp_path / "mine", "17"))
    packaged = mine.model_copy(update={"java_home": ""})
    assert find_java(mine).home != find_java(packaged).home


def test_refuses_another_version(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"java_home is .*/mine, which is Java 21\. Penstock runs on Java 17"):
        find_java(with_java(settings, pretended(tmp_path / "mine", "21")))


def test_refuses_a_folder_without_java(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"java_home is .*, whose bin/java cannot be run: .*leave java_home empty"):
        find_java(with_java(settings, tmp_path))


def test_command_caps_the_heap_and_ends_when_out_of_memory() -> None:
    java = Java(Path("/home"), Path("/runtime"))
    command = java.command("a.Main", [Path("/x.jar"), Path("/y.jar")], "64m", ["-Dk=v"], ["argument"])
    assert command[0] == "/runtime/bin/java"
    assert {"-Xmx64m", "-XX:+ExitOnOutOfMemoryError", "-XX:+UseSerialGC", "-Dk=v"} <= set(command)
    assert command[-4:] == ("-cp", "/x.jar:/y.jar", "a.Main", "argument")


def test_command_leaves_another_collector_be() -> None:
    command = Java(Path("/home"), Path("/runtime")).command("a.Main", [], "64m", ["-XX:+UseG1GC"])
    assert [option for option in command if option.endswith("GC")] == ["-XX:+UseG1GC"]
