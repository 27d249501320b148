"""The sink by itself: how it sends rows, against a session of the test's own, and which bytes it makes of values."""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cassandra import cqltypes

from penstock.config import Settings
from penstock.pipelines.types import TYPES
from penstock.servers import jars
from penstock.servers.jars import own
from penstock.servers.java import find_java
from penstock.servers.spark import application_jars, jars_of_pyspark

CHECKS = Path(__file__).parents[1] / "java"
PROTOCOL = 4
TEXTS = "org.apache.cassandra.db.marshal.UTF8Type"


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Runs a class of `tests/java` beside the sink and returns the lines that it printed."""
    settings = Settings().resolved()
    jars.fetch(settings, lambda _: None)
    java = find_java(settings)
    provided = [*jars_of_pyspark(), *application_jars(settings, java)]
    classes = own.compiled(java, provided, jars.folder(settings), tmp_path_factory.mktemp("check"), CHECKS)

    def run(name: str) -> list[str]:
        command = java.command(f"penstock.stream.{name}", [classes, *provided], "128m")
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


@pytest.fixture(scope="module")
def said(check: Callable[[str], list[str]]) -> list[str]:
    """What each scenario of `tests/java/RequestsCheck.java` printed."""
    return check("RequestsCheck")


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


VALUES: list[tuple[Any, Any]] = [
    (cqltypes.UUIDType, UUID("00000000-0000-4000-8000-0123456789ab")),
    (cqltypes.UTF8Type, "علی"),
    (cqltypes.LongType, -(2**63)),
    (cqltypes.Int32Type, -(2**31)),
    (cqltypes.DoubleType, 0.1),
    (cqltypes.BooleanType, True),
    (cqltypes.DateType, datetime(1970, 1, 1, tzinfo=UTC) - timedelta(milliseconds=2)),
    (cqltypes.BytesType, b"\x00\xff\xef"),
    (cqltypes.DecimalType, Decimal("-12345678901234567890.50")),
    (cqltypes.SimpleDateType, date(1500, 2, 28)),
    (cqltypes.InetAddressType, "2001:db8::1"),
    (cqltypes.InetAddressType, "1.2.3.4"),
    (cqltypes.lookup_casstype(f"ListType({TEXTS})"), ["b", "", "a"]),
    (cqltypes.lookup_casstype(f"ListType({TEXTS})"), ["x", "علی"]),
    (cqltypes.lookup_casstype(f"MapType({TEXTS},{TEXTS})"), {"": "2", "b": "1"}),
    (cqltypes.lookup_casstype(f"ListType({TEXTS})"), []),
]


def test_values_of_each_type_are_the_bytes_that_the_python_driver_sends(check: Callable[[str], list[str]]) -> None:
    *values, counted = check("ValuesCheck")
    names, found = zip(*(line.split("\t") for line in values), strict=True)
    assert set(names) == {kind.cql for kind in TYPES.values()}
    assert list(found) == [kind.to_binary(value, PROTOCOL).hex() for kind, value in VALUES]
    assert json.loads(counted) == {
        "read": 8,
        "rejected": 2,
        "flows": [["r", "a", 3, 2], ["s", "a", 1, 0]],
        "spans": {"0": [7, 10]},
    }
