"""The types of fields: one row each, and nobody else tells types apart."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from penstock.pipelines.types import TYPES, FieldType

SOURCE = Path(__file__).parents[2] / "src" / "penstock"


def test_types_are_these() -> None:
    assert [kind.__name__ for kind in TYPES] == ["UUID", "str", "int", "float", "bool", "datetime"]


def test_no_other_file_tells_types_apart() -> None:
    """But for text, of which templates and keys are made."""
    asked = re.compile(r"\.python (is|==|in) (?!(not )?str\b)|isinstance\([^)]*\b(UUID|datetime)\)")
    found = {path.name for path in SOURCE.rglob("*.py") if asked.search(path.read_text("utf-8"))}
    assert found - {"types.py", "values.py"} == set()  # the latter takes dates on the command line


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.cql)
def test_patterns_can_be_read(kind: FieldType) -> None:
    re.compile(kind.json)
    assert kind.form is None or not kind.form.holds("")
    assert not kind.is_converted or kind.form


def test_a_time_says_its_zone_and_has_a_year() -> None:
    form = TYPES[datetime].form
    assert form
    assert form.holds("2025-03-12T14:30:00Z")
    assert not form.holds("2025-03-12T14:30:00")
    assert not form.holds("0000-03-12T14:30:00Z")
    assert not form.holds("2025-03-12T14:30:00Z\n")


def test_times_are_compared_as_cassandra_keeps_them() -> None:
    kind, moment = TYPES[datetime], datetime(2025, 3, 12, 14, 30, 0, 123_456, tzinfo=UTC)
    kept = kind.from_driver(datetime(2025, 3, 12, 14, 30, 0, 123_000))  # noqa: DTZ001 - as the driver gives it
    assert kind.is_same(moment, kept)
    assert not kind.is_same(moment, kept - timedelta(milliseconds=1))


def test_a_number_beyond_64_bits_fits_no_column() -> None:
    assert TYPES[int].fits(2**63 - 1)
    assert not TYPES[int].fits(2**63)


def test_text_that_is_no_value_of_the_type_is_refused() -> None:
    reader = TYPES[UUID].from_text
    assert reader
    with pytest.raises(ValueError, match="badly formed"):
        reader("no uuid")
