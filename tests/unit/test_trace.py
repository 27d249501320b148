"""How a trace recognises a record in what strangers wrote, and how it tells of a row's write times."""

from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.screen import show_trace
from penstock.store import Row
from penstock.trace import KEPT, Trace, mentioning, newest, readable, written
from penstock.users import USERS


@pytest.mark.parametrize(
    ("value", "is_mentioned"),
    [
        (b'{"email": "ali@example.com"}', True),
        (b'{"email": "ALI@Example.com', True),
        (b'\xff\xfe"ali@example.com"', True),
        (rb'{"email": "\u0061li@example.com"}', True),
        (b'{"email": "mali@example.com"}', False),
        (b'{"email": "m.ali@example.com"}', False),
        (b'{"email": "ali@example.community"}', False),
        (b'{"email": "ali@exampleXcom"}', False),
        (b"", False),
        (None, False),
    ],
)
def test_an_address_is_found_in_any_bytes_but_not_within_a_longer_one(value: bytes | None, is_mentioned: bool) -> None:
    assert bool(mentioning(["ali@example.com", "id-7"]).search(readable(value))) == is_mentioned


def test_write_times_of_a_row_are_told_the_oldest_first() -> None:
    values: dict[str, Any] = {}
    row = Row(values, {"phone": 2_000_000, "email": 1_000_001, "gender": 2_000_000})
    assert list(written(row).items()) == [
        (datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC), ["email"]),
        (datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC), ["phone", "gender"]),
    ]


def test_newest_are_kept_in_whatever_order_partitions_are_read_and_the_others_are_counted() -> None:
    ages = [*range(1, 2 * KEPT, 2), *range(0, 2 * KEPT, 2)]
    assert newest(ages, lambda age: age) == (tuple(range(KEPT, 2 * KEPT)), KEPT)


def test_trace_says_how_much_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_trace(Trace("a", (), (), (), "all", older_messages=7, older_letters=2), USERS)
    said = capsys.readouterr().out
    assert "7 older messages are left out" in said
    assert "2 older dead letters are left out" in said
