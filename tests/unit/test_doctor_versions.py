"""Versions that the doctor accepts, and what it says of others where no server is needed for it."""

from pathlib import Path

import pytest

from penstock.config import Settings
from penstock.doctor import Grade
from penstock.doctor.docker import docker
from penstock.doctor.spark import pages, spark
from penstock.doctor.versions import AIRFLOW, CASSANDRA, COMPOSE, DOCKER, KAFKA, POSTGRES, Line, parsed, shown
from rig.stacks import free_ports
from tests.compose.engine import COMPOSE_MODULE
from tests.secured import changed

COMMANDS = Path(__file__).parents[2] / "docs" / "commands.md"


@pytest.mark.parametrize(
    ("text", "version"),
    [("2.8-IV1", (2, 8)), ("v2.20.2+ds1", (2, 20, 2)), ("4.0 or newer", (4, 0)), ("3.3.2", (3, 3, 2)), ("dev", ())],
)
def test_reads_versions_as_servers_write_them(text: str, version: tuple[int, ...]) -> None:
    assert parsed(text) == version


@pytest.mark.parametrize(
    ("line", "version", "grade"),
    [
        (KAFKA, "2.7-IV2", "failed"),
        (KAFKA, "2.8-IV1", "ok"),
        (KAFKA, "4.0 or newer", "ok"),
        (AIRFLOW, "2.10.5", "failed"),
        (AIRFLOW, "3.0.0", "ok"),
    ],
)
def test_older_than_the_oldest_is_a_failure(line: Line, version: str, grade: str) -> None:
    found = line.judged("x", version)
    assert found.grade == grade
    assert (line.fix in found.fix) is (grade == "failed")


@pytest.mark.parametrize("line", [KAFKA, CASSANDRA, AIRFLOW, POSTGRES, DOCKER, COMPOSE], ids=lambda line: line.name)
def test_oldest_versions_are_documented(line: Line) -> None:
    assert f"\n| {line.name} | {shown(line.oldest)} | " in COMMANDS.read_text("utf-8")


def test_the_page_about_compose_asks_for_the_same_version() -> None:
    assert f"with Compose ({shown(COMPOSE.oldest)} or later)" in COMMANDS.with_name("docker.md").read_text("utf-8")


def test_compose_that_is_said_to_be_tested_is_the_tested_one() -> None:
    assert COMPOSE_MODULE.endswith(f"@v{COMPOSE.tested}")


def program(folder: Path, engine: str, compose: str) -> str:
    """A `docker` that tells these versions."""
    file = folder / "docker"
    file.write_text(f'#!/bin/sh\ncase "$1" in version) echo {engine};; compose) echo {compose};; esac\n')
    file.chmod(0o700)
    return str(file)


def test_docker_that_is_too_old_for_the_compose_file(tmp_path: Path) -> None:
    engine, compose = docker(program(tmp_path, "19.03.15", "v2.23.0"))
    assert (engine.grade, compose.grade) == (Grade.NOTE, Grade.NOTE)
    assert "Use Docker 20.10 or newer" in engine.fix
    assert "Use Docker Compose 2.23.1 or newer" in compose.fix


def test_docker_that_is_new_enough(tmp_path: Path) -> None:
    assert {one.grade for one in docker(program(tmp_path, "20.10.24+dfsg1", "5.5.1"))} == {Grade.OK}


def test_docker_that_is_not_there(tmp_path: Path) -> None:
    [found] = docker(str(tmp_path / "docker"))
    assert (found.grade, found.fix) == (Grade.NOTE, "")


def test_page_of_a_master_elsewhere_is_where_spark_puts_it_unless_told(settings: Settings) -> None:
    there = changed(settings, spark={"master": "spark://a:7077,b:7077"})
    assert pages(there, local=False) == ["http://a:8080/", "http://b:8080/"]
    told = changed(there, spark={"conf": {"spark.master.ui.port": "18080"}})
    assert pages(told, local=False) == ["http://a:18080/", "http://b:18080/"]
    assert pages(settings, local=True) == [f"http://127.0.0.1:{settings.ports.spark_master_ui}/"]


def test_master_without_a_page_is_no_failure(settings: Settings) -> None:
    _, found = spark(settings, [f"http://127.0.0.1:{port}/" for port in free_ports(1)])
    assert found.grade is Grade.NOTE
    assert "spark.master.ui.port" in found.fix
