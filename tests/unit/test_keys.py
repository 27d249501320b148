"""Keys of several columns: the table, the message's key, the row of a record, and what people type."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest

from penstock import Desc, From, Key, Pipeline, Record
from penstock.errors import ContractError
from penstock.pipelines.identity import key_of, key_of_row, key_text, message_key, read_beginning, read_key
from penstock.pipelines.record import Reason, Rejected, from_bytes
from penstock.pipelines.types import TYPES, FieldType
from penstock.users import USERS


class Quake(Record):
    """One earthquake as one station saw it."""

    station: Annotated[str, From("station")]
    day: Annotated[date, From("day")]
    time: Annotated[datetime, From("time")]
    id: Annotated[int, From("id")]
    size: Annotated[Decimal | None, From("size")] = None


FIELDS = {name: getattr(USERS, name) for name in Pipeline.model_fields}
KEY = Key(partition=("station", "day"), clustering=(Desc("time"), "id"))
QUAKES = Pipeline(**FIELDS | {"name": "quakes", "record": Quake, "key": KEY})
AT = datetime(2025, 3, 12, 14, 30, 0, 123_456, tzinfo=UTC)
ONE = Quake(station='a"b', day=date(2025, 3, 12), time=AT, id=7)
TEXT = '["a\\"b", "2025-03-12", "2025-03-12 14:30:00.123000+00:00", "7"]'


def test_table_has_the_whole_key_and_its_order() -> None:
    table = QUAKES.create_table()
    assert "    PRIMARY KEY ((station, day), time, id)\n) WITH CLUSTERING ORDER BY (time DESC, id ASC)" in table
    assert "PRIMARY KEY," not in table


def test_a_key_of_one_column_is_the_same_however_it_is_declared() -> None:
    other = Pipeline(**FIELDS | {"key": Key(("id",))})
    assert other.create_table() == USERS.create_table()
    assert other.columns == USERS.columns


def test_key_of_a_record_is_that_of_its_row() -> None:
    stored = {**ONE.model_dump(), "time": datetime(2025, 3, 12, 14, 30, 0, 123_000, tzinfo=UTC)}
    assert key_of(QUAKES, ONE) == key_of_row(QUAKES, stored)


def test_key_of_the_message_is_the_partition() -> None:
    assert json.loads(message_key(QUAKES, ONE)) == ['a"b', "2025-03-12"]


def test_key_that_is_shown_can_be_asked_for() -> None:
    assert key_text(key_of(QUAKES, ONE)) == TEXT
    assert read_key(QUAKES, TEXT) == key_of(QUAKES, ONE)


@pytest.mark.parametrize("text", ["a", "[]", "{}", '["a"]', '["a", "b", "c", "d"]', "[1, 2, 3, 4]", "[" * 100_000, "5"])
def test_what_is_no_key_is_none(text: str) -> None:
    assert read_key(QUAKES, text) is None


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Key(("station", "size")), "'size' is not a required field of Quake"),
        (Key(()), "has no partition"),
        (Key(("station",), (Desc("station"),)), "or a column twice"),
        ("nothing", "'nothing' is not a required field"),
    ],
)
def test_refuses_a_key_that_cannot_be(key: Any, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        Pipeline(**FIELDS | {"record": Quake, "key": key})


def test_refuses_a_key_that_cassandra_compares_otherwise() -> None:
    record = type(
        "Priced", (Record,), {"__annotations__": {"x": Annotated[Decimal, From("x")]}, "__module__": __name__}
    )
    with pytest.raises(ContractError, match="key 'x' is a Decimal"):
        Pipeline(**FIELDS | {"record": record, "key": "x"})


def test_columns_of_a_partition_share_what_a_key_may_have() -> None:
    def judged(length: int) -> Any:
        found = from_bytes(QUAKES, ONE.model_copy(update={"station": "x" * length}).model_dump_json().encode())
        return found.reason if isinstance(found, Rejected) else None

    longest = 65_535 // 2 - 3
    assert [judged(longest), judged(longest + 1), judged(0)] == [None, Reason.INVALID_VALUE, Reason.INVALID_VALUE]


@pytest.mark.parametrize(
    "texts",
    [
        ['a"b', "2025-03-12"],
        ['a"b', "2025-03-12", "2025-03-12T14:30:00.123Z"],
        ['a"b', "2025-03-12", "2025-03-12T14:30:00.123Z", "7"],
        [TEXT],
        [],
    ],
)
def test_rows_are_asked_for_by_the_beginning_of_their_key(texts: list[str]) -> None:
    key = key_of(QUAKES, ONE)
    assert read_beginning(QUAKES, texts) == key[: 4 if texts == [TEXT] else len(texts)]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["berlin"], "the key is station, day, time, id, of which at least station, day must be said; 1 came"),
        (["berlin", "yesterday"], "'yesterday' is no date, which day is"),
        (["berlin", "2025-03-12", "2025-03-12", "1", "2"], "5 came"),
    ],
)
def test_what_is_no_beginning_of_a_key_is_refused(texts: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_beginning(QUAKES, texts)


@pytest.mark.parametrize("row", [row for row in TYPES.values() if row.is_key], ids=lambda row: row.cql)
def test_every_type_of_a_key_can_be_asked_for(row: FieldType) -> None:
    assert row.from_text is not None
    value = row.from_text(EXAMPLES[row.cql])
    assert row.from_text(str(row.as_key(value))) == value


EXAMPLES = {
    "uuid": str(UUID(int=1)),
    "text": "a",
    "bigint": "-1",
    "int": "7",
    "double": "0.1",
    "boolean": "true",
    "timestamp": "2025-03-12T14:30:00Z",
    "date": "2025-03-12",
    "inet": "2001:DB8::1",
}
