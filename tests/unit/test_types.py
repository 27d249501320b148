"""The types of fields: one row each, and nobody else tells types apart."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest

from penstock.pipelines.types import TYPES, FieldType, IPAddress, JsonText, plain_type, told, type_name
from penstock.source.body import json_text, reader

SOURCE = Path(__file__).parents[2] / "src" / "penstock"


def test_types_are_these() -> None:
    old, new = "UUID str int Int32 float Decimal bool datetime date IPAddress bytes", "list[str] set[str]"
    assert list(map(type_name, TYPES)) == [*old.split(), *new.split(), "dict[str, str]", "JsonText"]


def test_no_other_file_tells_types_apart() -> None:
    """But for text, of which templates and keys are made."""
    asked = re.compile(r"\.python (is|==|in) (?!(not )?str\b)|isinstance\([^)]*\b(UUID|datetime)\)")
    found = {path.name for path in SOURCE.rglob("*.py") if asked.search(path.read_text("utf-8"))}
    assert found - {"types.py", "item_values.py", "values.py"} == set()  # the last takes dates on the command line


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.cql)
def test_patterns_can_be_read(kind: FieldType) -> None:
    re.compile(kind.json)
    assert kind.form is None or kind.form.holds("") == (kind.python is bytes)
    assert not kind.convert or kind.form


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


@pytest.mark.parametrize("kind", TYPES, ids=type_name)
def test_a_type_is_known_again_however_it_is_annotated(kind: Any) -> None:
    assert plain_type(kind) == (kind, False)
    assert plain_type(kind | None) == (kind, True)
    assert plain_type(Annotated[kind | None, "x"]) == (kind, True)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (Decimal, 0.1, "0.1"),
        (Decimal, 12, "12"),
        (Decimal, "012.50", "12.50"),
        (Decimal, 1e-7, "1E-7"),
        (Decimal, "twelve", "twelve"),
        (Decimal, True, True),
        (bytes, "/+8", "_-8="),
        (bytes, "_-8=", "_-8="),
        (bytes, "!", "!"),
        (IPAddress, "::FFFF:1.2.3.4", "1.2.3.4"),
        (IPAddress, " 2001:DB8:0::1", "2001:db8::1"),
        (IPAddress, 5, 5),
        (JsonText, {"type": "Point", "at": [1, 2.5]}, '{"type":"Point","at":[1,2.5]}'),
        (JsonText, "علی", '"علی"'),
        (date, datetime(2025, 3, 12, tzinfo=UTC), "2025-03-12"),
        (datetime, datetime(2025, 3, 12, tzinfo=UTC), "2025-03-12T00:00:00Z"),
    ],
)
def test_a_value_of_the_api_gets_the_one_form_of_messages(kind: Any, given: Any, message: Any) -> None:
    read = TYPES[kind].from_item
    assert read
    assert read(given) == message


@pytest.mark.parametrize(
    ("value", "text"), [({"b", "a"}, ["a", "b"]), (b"\xff\xef", "_-8="), (date(2025, 3, 12), "2025-03-12")]
)
def test_values_of_rows_are_told_in_json(value: Any, text: Any) -> None:
    assert told(value) == text


@pytest.mark.parametrize(
    "moment", [datetime(2025, 3, 12, 1, 2, 3, 456_789, tzinfo=UTC), datetime(1950, 1, 1, 0, 0, 0, 1, UTC)]
)
def test_a_time_in_a_key_is_the_one_that_cassandra_keeps(moment: datetime) -> None:
    found = TYPES[datetime].as_key(moment)
    assert timedelta(0) <= moment - found < timedelta(milliseconds=1)
    assert found.microsecond % 1_000 == 0


@pytest.mark.parametrize("written", ["12.50", "0.12345678901234567890123", "1E-7", "1.00E+400"])
@pytest.mark.parametrize("ndjson", [False, True])
def test_a_decimal_loses_no_digit_that_stands_in_the_answer(written: str, ndjson: bool) -> None:
    read, body = TYPES[Decimal].from_item, reader("application/json", ndjson=ndjson)(f"[{written}]".encode())
    [item] = body[0] if ndjson else body
    assert read
    assert read(item) == str(Decimal(written))
    assert isinstance(item, float)
    assert float(item) == float(written)


@pytest.mark.parametrize(
    "written",
    ['{"a":[1.50,{"b":1E+3,"c":[]}],"d":{},"e":null,"f":true,"g":"é\\"\\n"}', "0.1234567890123456789012345", "1e400"],
)
def test_json_text_has_the_numbers_of_the_answer(written: str) -> None:
    read = TYPES[JsonText].from_item
    assert read
    assert read(reader("", ndjson=False)(written.encode())) == written


def test_what_is_deep_can_be_written_as_it_was_read() -> None:
    deep = "[" * 500 + "1.0" + "]" * 500
    assert json_text(reader("", ndjson=False)(deep.encode())) == deep
