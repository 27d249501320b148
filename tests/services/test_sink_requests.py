"""How the sink sends rows, against a session that answers, fails or is silent as the test wants."""

import json
import subprocess
from pathlib import Path

import pytest

from penstock.config import Settings
from penstock.servers import jars
from penstock.servers.jars import own
from penstock.servers.java import find_java
from penstock.servers.spark import application_jars, jars_of_pyspark

CHECKS = Path(__file__).parents[1] / "java"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each scenario of `tests/java/RequestsCheck.java` printed."""
    settings = Settings().resolved()
    jars.fetch(settings, lambda _: None)
    java = find_java(settings)
    provided = [*jars_of_pyspark(), *application_jars(settings, java)]
    check = own.compiled(java, provided, jars.folder(settings), tmp_path_factory.mktemp("check"), CHECKS)
    command = java.command("penstock.stream.RequestsCheck", [check, *provided], "128m")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_rows_that_come_one_by_one_go_one_by_one(said: list[str]) -> None:
    assert json.loads(said[0]) == [1] * 5


def test_rows_that_come_faster_than_they_are_taken_gather_within_bounds(said: list[str]) -> None:
    rows, largest, most_under_way, *first = json.loads(said[1])
    assert (rows, largest, most_under_way, first) == (500, 10, 8, [1, 1])


def test_request_that_fails_for_a_while_is_sent_again(said: list[str]) -> None:
    assert said[2] == "acknowledged after 3"


def test_request_that_fails_too_long_fails_the_task(said: list[str]) -> None:
    assert said[3].startswith("cassandra did not take rows: ")


def test_request_that_is_wrong_is_not_sent_again(said: list[str]) -> None:
    assert said[4] == "cassandra did not take rows: java.lang.IllegalStateException: wrong after 1"


def test_task_that_is_stopped_waits_no_longer(said: list[str]) -> None:
    assert said[5] == "stopped while rows were written"
