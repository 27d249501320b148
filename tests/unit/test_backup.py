"""Backups of a home: what is in one, what is refused, and that a restore is whole or nothing."""

import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from penstock.cli import cli
from penstock.config import Hosts, KafkaSettings, Settings, SparkSettings
from penstock.errors import BackupError, ServiceError
from penstock.launcher.home import Home
from penstock.launcher.process import MARKER, owner
from penstock.servers import unprivileged
from penstock.servers.backup import backup, restore, unlike_the_projects
from penstock.servers.backup.manifest import FILE_NAME, FORMAT, Manifest, current_versions

LARGE = 3 * 1024 * 1024


def quiet(_what: str, _done: int, _total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def stack(tmp_path: Path) -> Settings:
    """A home as servers leave it: empty folders, a file that is larger than what is in it, secrets."""
    home, project = tmp_path / "home", tmp_path / "project"
    for folder in ("data/postgres/pg_notify", "data/spark/app-1", "logs/airflow/dag_id=user_info", "project/pipelines"):
        (home / folder if not folder.startswith("project") else tmp_path / folder).mkdir(parents=True)
    home.chmod(0o700)
    (home / "data/postgres").chmod(0o700)
    files = {
        ".penstock-home": "",
        "secrets.json": "{}",
        "data/layout": "stack.kafka = kraft, stack.profile = single",
        "data/postgres/PG_VERSION": "18",
        "data/postgres/postmaster.pid": "1",
        "data/spark/app-1/scratch.jar": "large",
        "logs/kafka.log": "of a server",
        "logs/airflow/dag_id=user_info/attempt=1.log": "of a task",
    }
    for name, text in files.items():
        (home / name).write_text(text)
    with (home / "data/index").open("wb") as file:
        file.write(random.Random(1).randbytes(LARGE // 8))
        file.truncate(LARGE)
    (home / "secrets.json").chmod(0o600)
    (project / "pipelines/orders.py").write_text("1")
    return Settings(home=home, project=str(project)).resolved()


def elsewhere(stack: Settings, name: str = "other") -> Settings:
    return stack.model_copy(update={"home": stack.home.with_name(name)})


def held(folder: Path) -> dict[str, str]:
    """What a folder holds: path -> kind, mode and content."""
    return {
        path.relative_to(folder).as_posix(): f"{path.stat().st_mode:o} {path.read_bytes()[:99]!r} {path.stat().st_size}"
        if path.is_file()
        else f"{path.stat().st_mode:o}"
        for path in folder.rglob("*")
    }


def test_what_is_restored_is_what_was_there(stack: Settings, tmp_path: Path) -> None:
    """But for the scratch of Spark, the logs of servers, and the name of the Postgres that runs."""
    file = tmp_path / "stack.tar.gz"
    before = held(stack.home)
    backup(stack, file, quiet)
    assert held(stack.home) == before
    restored = elsewhere(stack)
    restore(restored, file, quiet)
    left_out = {"data/spark", "data/spark/app-1", "data/spark/app-1/scratch.jar", "logs/kafka.log"}
    expected = {name: what for name, what in before.items() if name not in {*left_out, "data/postgres/postmaster.pid"}}
    found = held(restored.home)
    declared = {name for name in found if name.startswith("data/declarations")}
    assert declared == {"data/declarations", "data/declarations/orders.py"}
    assert {name: what for name, what in found.items() if name not in {*declared, "run"}} == expected
    assert (restored.home / "data/index").stat().st_blocks * 512 < LARGE
    assert restored.home.stat().st_mode & 0o777 == 0o700
    assert unlike_the_projects(restored) == []
    before = (stack.home / "data/postgres").owner()
    assert (restored.home / "data/postgres").owner() == (unprivileged.ACCOUNT if unprivileged.applies() else before)


def test_a_declaration_that_the_project_has_otherwise_is_named(stack: Settings, tmp_path: Path) -> None:
    file = tmp_path / "stack.tar.gz"
    backup(stack, file, quiet)
    Path(stack.project, "pipelines/orders.py").write_text("2")
    restored = elsewhere(stack)
    restore(restored, file, quiet)
    assert unlike_the_projects(restored) == ["orders.py"]
    assert Path(stack.project, "pipelines/orders.py").read_text() == "2"


def test_only_the_owner_may_read_a_backup_and_nothing_is_left_beside_it(stack: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    backup(stack, folder / "stack.tar.gz", quiet)
    assert [path.name for path in folder.iterdir()] == ["stack.tar.gz"]
    assert (folder / "stack.tar.gz").stat().st_mode & 0o777 == 0o600


def test_progress_ends_with_the_whole(stack: Settings, tmp_path: Path) -> None:
    last: dict[str, tuple[int, int]] = {}
    backup(stack, tmp_path / "a", lambda what, done, total: last.update({what: (done, total)}))
    restore(elsewhere(stack), tmp_path / "a", lambda what, done, total: last.update({what: (done, total)}))
    assert last.keys() == {"Copying", "Computing sha256", "Packing", "Restoring"}
    assert [what for what, (done, total) in last.items() if done != total] == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"kafka": KafkaSettings(bootstrap_servers="kafka1:9092")}, "kafka.bootstrap_servers name what is outside"),
        ({"spark": SparkSettings(checkpoint="s3a://bucket/place")}, "spark.checkpoint name what is outside"),
        ({"hosts": Hosts(kafka="broker")}, "not processes of this machine .*docker compose stop"),
    ],
    ids=["kafka", "checkpoint", "containers"],
)
def test_what_is_not_all_in_the_home_is_not_backed_up(
    stack: Settings, tmp_path: Path, changed: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BackupError, match=problem):
        backup(stack.model_copy(update=changed), tmp_path / "stack.tar.gz", quiet)


def test_a_file_that_exists_is_kept(stack: Settings, tmp_path: Path) -> None:
    file = tmp_path / "stack.tar.gz"
    file.write_text("an older one")
    with pytest.raises(BackupError, match="exists: name another file"):
        backup(stack, file, quiet)
    assert file.read_text() == "an older one"


@pytest.mark.parametrize(
    ("place", "problem"),
    [("home/stack.tar.gz", "inside of the home"), ("nowhere/stack.tar.gz", "is no folder: make it")],
)
def test_a_place_that_cannot_be_is_refused(stack: Settings, tmp_path: Path, place: str, problem: str) -> None:
    with pytest.raises(BackupError, match=problem):
        backup(stack, tmp_path / place, quiet)


def test_a_home_without_data_is_refused(stack: Settings, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="has no data to back up"):
        backup(elsewhere(stack), tmp_path / "stack.tar.gz", quiet)


def test_a_link_out_of_the_home_is_refused_and_leaves_nothing(stack: Settings, tmp_path: Path) -> None:
    (stack.home / "data/cassandra").symlink_to(tmp_path)
    with pytest.raises(BackupError, match=r"data/cassandra is a link to .* Move it into the home"):
        backup(stack, tmp_path / "stack.tar.gz", quiet)
    assert {path.name for path in tmp_path.iterdir()} == {"home", "project"}


def test_a_stack_that_does_not_run_may_take_as_long_as_it_takes(stack: Settings, tmp_path: Path) -> None:
    backup(stack, tmp_path / "stack.tar.gz", quiet, longest_s=0)


def test_commands_say_what_they_did_and_what_is_next(stack: Settings, tmp_path: Path) -> None:
    file, environment = str(tmp_path / "stack.tar.gz"), {"PENSTOCK_HOME": str(stack.home)}
    kept = CliRunner().invoke(cli, ["backup", file], env={**environment, "PENSTOCK_PROJECT": stack.project})
    assert re.search(r": 6 files, as of .* UTC\n$", kept.stdout)
    home = str(elsewhere(stack).home)
    done = CliRunner().invoke(cli, ["restore", file, "--home", home], env={"PENSTOCK_PROJECT": str(tmp_path)})
    assert f"{home}: 6 files, as of" in done.stdout
    assert (
        "with stack.kafka = kraft, stack.profile = single: penstock up, then penstock reconcile --deep" in done.stderr
    )
    assert "lacks these declarations or has others: orders.py" in done.stderr
    again = CliRunner().invoke(cli, ["restore", file, "--home", home])
    assert isinstance(again.exception, BackupError)


def test_a_stack_does_not_stand_still_for_longer_than_its_clients_wait(stack: Settings, tmp_path: Path) -> None:
    (stack.home / "run").mkdir()
    given = {**os.environ, MARKER: owner("kafka", stack.home)}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=given) as server:
        with pytest.raises(BackupError, match="penstock down, penstock backup FILE, penstock up"):
            backup(stack, tmp_path / "stack.tar.gz", quiet, longest_s=0)
        server.communicate(b"go on, and end\n")
    assert {path.name for path in tmp_path.iterdir()} == {"home", "project"}


@pytest.mark.parametrize("name", ["data", "run", "letter.txt"])
def test_a_home_that_is_not_empty_is_refused(stack: Settings, tmp_path: Path, name: str) -> None:
    backup(stack, tmp_path / "a", quiet)
    restored = elsewhere(stack)
    (restored.home / name).mkdir(parents=True)
    with pytest.raises(BackupError, match=f"not empty: it holds {name}.*penstock down --delete-data"):
        restore(restored, tmp_path / "a", quiet)
    assert held(restored.home).keys() == {name}


def test_a_home_whose_data_were_deleted_takes_a_backup_and_its_secrets(stack: Settings, tmp_path: Path) -> None:
    backup(stack, tmp_path / "a", quiet)
    Home(stack.home).delete_data()
    (stack.home / "secrets.json").write_text("of nothing any more")
    restore(stack, tmp_path / "a", quiet)
    assert (stack.home / "secrets.json").read_text() == "{}"
    assert (stack.home / "data/layout").exists()


def test_certificates_of_a_home_whose_data_were_deleted_stay(stack: Settings, tmp_path: Path) -> None:
    backup(stack, tmp_path / "a", quiet)
    (stack.home / "certificates").mkdir()
    Home(stack.home).delete_data()
    restore(stack, tmp_path / "a", quiet)
    assert (stack.home / "data/layout").exists()
    assert (stack.home / "certificates").exists()


def test_a_restore_that_was_killed_starts_nothing_and_is_done_again(stack: Settings, tmp_path: Path) -> None:
    """Killed while it brought what was written into its place."""
    backup(stack, tmp_path / "a", quiet)
    restored = elsewhere(stack)
    (restored.home / ".restoring/logs").mkdir(parents=True)
    (restored.home / "data/half").mkdir(parents=True)
    with pytest.raises(ServiceError, match="did not end: run `penstock restore` again"):
        Home(restored.home).make()
    restore(restored, tmp_path / "a", quiet)
    assert not (restored.home / "data/half").exists()
    assert not (restored.home / ".restoring").exists()


def test_a_restore_leaves_one_alone_that_fills_the_same_home(stack: Settings, tmp_path: Path) -> None:
    backup(stack, tmp_path / "a", quiet)
    restored = elsewhere(stack)
    refused: list[str] = []

    def another(_what: str, _done: int, _total: int) -> None:
        with pytest.raises(BackupError) as told:
            restore(restored, tmp_path / "a", quiet)
        refused.append(str(told.value))

    restore(restored, tmp_path / "a", another)
    assert all("another restore is filling" in text for text in refused)
    assert (restored.home / "data/layout").read_text() == (stack.home / "data/layout").read_text()
    assert not (restored.home / ".restoring").exists()


# Archives that are none of ours, or not any more


def changed(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]


@pytest.mark.parametrize(
    "damage",
    [changed, lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"no archive at all" * 99],
    ids=["bit", "cut", "empty", "text"],
)
def test_a_damaged_archive_restores_nothing(stack: Settings, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "a"
    backup(stack, file, quiet)
    file.write_bytes(damage(file.read_bytes()))
    restored = elsewhere(stack)
    with pytest.raises(BackupError, match=r"damaged, or no backup|could not be restored"):
        restore(restored, file, quiet)
    assert not restored.home.exists() or held(restored.home) == {}


def test_a_file_that_is_not_there_is_named(stack: Settings, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"No such file .*nothing\.tar\.gz"):
        restore(elsewhere(stack), tmp_path / "nothing.tar.gz", quiet)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def told(**more: Any) -> dict[str, Any]:
    """A manifest of one file, `data/a`, that holds `1`."""
    return {
        "format": FORMAT,
        "versions": current_versions(),
        "stack": "any",
        "taken_at": "2026-11-28T00:00:00Z",
        "suspended_s": 0,
        "folders": [{"path": "data", "mode": 0o755}],
        "members": [{"path": "data/a", "mode": 0o644, "size": 1, "sha256": sha256(b"1")}],
        **more,
    }


def archive(file: Path, manifest: dict[str, Any], *entries: tarfile.TarInfo, content: bytes = b"1") -> Path:
    with tarfile.open(file, "w:gz") as writing:
        text = json.dumps(manifest).encode()
        first = tarfile.TarInfo(FILE_NAME)
        first.size = len(text)
        writing.addfile(first, io.BytesIO(text))
        for entry in entries:
            entry.size = len(content) if entry.isreg() else 0
            writing.addfile(entry, io.BytesIO(content))
    return file


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def test_the_archives_of_these_tests_can_be_restored(stack: Settings, tmp_path: Path) -> None:
    restored = elsewhere(stack)
    restore(restored, archive(tmp_path / "a", told(), entry("data/a")), quiet)
    assert (restored.home / "data/a").read_text() == "1"


@pytest.mark.parametrize(
    "path",
    [
        "../a",
        "data/../../a",
        "/etc/a",
        "data//a",
        "./data/a",
        "a",
        "run/a",
        ".penstock-home",
        "data/a\0b",
        "data\\..\\a",
    ],
)
def test_a_manifest_with_a_path_out_of_the_home_is_refused(stack: Settings, tmp_path: Path, path: str) -> None:
    members = [{"path": path, "mode": 0o644, "size": 1, "sha256": sha256(b"1")}]
    with pytest.raises(BackupError, match="members"):
        restore(elsewhere(stack), archive(tmp_path / "a", told(members=members), entry("x")), quiet)
    assert not elsewhere(stack).home.exists()


@pytest.mark.parametrize(
    "entries",
    [
        (entry("../a"),),
        (entry("data/a"), entry("/etc/b")),
        (entry("data/a"), entry("data/a")),
        (entry("data/a", tarfile.SYMTYPE, "/etc/passwd"),),
        (entry("data/a", tarfile.LNKTYPE, "/etc/passwd"),),
        (entry("data/a", tarfile.FIFOTYPE),),
        (entry("data", tarfile.SYMTYPE, "/etc"), entry("data/a")),
        (),
    ],
    ids=["above", "absolute", "twice", "link", "hard link", "pipe", "folder that is a link", "nothing"],
)
def test_an_archive_with_anything_but_what_its_manifest_lists_restores_nothing(
    stack: Settings, tmp_path: Path, entries: tuple[tarfile.TarInfo, ...]
) -> None:
    restored = elsewhere(stack)
    with pytest.raises(BackupError, match="damaged, or no backup"):
        restore(restored, archive(tmp_path / "a", told(), *entries), quiet)
    assert held(restored.home) == {}
    assert not (tmp_path / "a.txt").exists()


def test_a_file_with_another_sha256_restores_nothing(stack: Settings, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="data/a has another sha256"):
        restore(elsewhere(stack), archive(tmp_path / "a", told(), entry("data/a"), content=b"2"), quiet)
    assert held(elsewhere(stack).home) == {}


@pytest.mark.parametrize(
    "more",
    [{"members": [{}]}, {"folders": []}, {"extra": 1}, {"versions": {"kafka": "x"}}, {"format": None}],
    ids=["nothing of a member", "no folder for it", "unknown", "no version", "no format"],
)
def test_a_manifest_that_is_none_is_refused(stack: Settings, tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(BackupError, match=f"its {FILE_NAME} cannot be used"):
        restore(elsewhere(stack), archive(tmp_path / "a", told(**more), entry("data/a")), quiet)


@pytest.mark.parametrize("part", sorted(current_versions()))
def test_a_backup_of_something_newer_is_refused(stack: Settings, tmp_path: Path, part: str) -> None:
    versions = {**current_versions(), part: "999.1"}
    with pytest.raises(BackupError, match=rf"{part} 999\.1 \(here .*Restore it with Penstock"):
        restore(elsewhere(stack), archive(tmp_path / "a", told(versions=versions), entry("data/a")), quiet)


def test_a_backup_in_a_newer_format_is_refused_before_it_is_understood(stack: Settings, tmp_path: Path) -> None:
    made = archive(tmp_path / "a", {"format": FORMAT + 1, "all": "else"})
    with pytest.raises(BackupError, match=f"has format {FORMAT + 1}, and this Penstock"):
        restore(elsewhere(stack), made, quiet)


def test_a_backup_of_something_older_is_taken(stack: Settings, tmp_path: Path) -> None:
    older = dict.fromkeys(current_versions(), "0.0.1")
    restore(elsewhere(stack), archive(tmp_path / "a", told(versions=older), entry("data/a")), quiet)


def test_a_backup_larger_than_the_disk_is_refused_before_anything_is_written(stack: Settings, tmp_path: Path) -> None:
    members = [{"path": "data/a", "mode": 0o644, "size": 10**18, "sha256": sha256(b"1")}]
    with pytest.raises(BackupError, match="MiB of room, and what is in the backup needs up to"):
        restore(elsewhere(stack), archive(tmp_path / "a", told(members=members), entry("data/a")), quiet)
    assert not elsewhere(stack).home.exists()


def test_a_manifest_reads_back_as_it_was_written() -> None:
    manifest = Manifest.model_validate(told())
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest
