"""How a trace recognises a record in what strangers wrote, and how it tells of a row's write times."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.audit.trace import KEPT, Occurrence, Trace, have_expired, mentioning, newest, readable, written
from penstock.cassandra import Property, Row
from penstock.users import USERS
from penstock.views.trace import show_trace


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


SENT = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
SENT_MS = 1_741_789_800_000
SEEN = Occurrence(0, 7, SENT, "r", "1/0", "a", "", SENT, None, None, absent=("phone", "gender"))


def test_trace_says_what_an_absent_value_does(capsys: pytest.CaptureFixture[str]) -> None:
    for absent in ("clear", "keep"):
        show_trace(Trace("a", (SEEN,), (), (), "all"), USERS.model_copy(update={"absent": absent}))
    said = capsys.readouterr().out
    assert "absent, so cleared: phone, gender" in said
    assert "absent, so left as they are: phone, gender" in said


def test_trace_says_that_a_row_is_past_its_ttl(capsys: pytest.CaptureFixture[str]) -> None:
    ttl = Property("default_time_to_live = 60", "a row disappears", "ALTER TABLE.")
    show_trace(Trace("a", (SEEN,), (), (), "all", properties=(ttl,), expired=True), USERS)
    said = capsys.readouterr().out
    assert "no row: it is past its TTL" in said
    assert "table spark_streams.created_users: default_time_to_live = 60: a row disappears. ALTER TABLE." in said


@pytest.mark.parametrize(
    ("position", "expired_ms", "expired"),
    [
        ({0: 7}, SENT_MS, True),
        ({0: 7}, SENT_MS - 1, False),
        ({0: 6}, SENT_MS, False),
        ({}, SENT_MS, False),
        ({0: 7}, None, False),
    ],
)
def test_only_what_the_stream_passed_and_is_old_enough_has_expired(
    position: dict[int, int], expired_ms: int | None, expired: bool
) -> None:
    assert have_expired([SEEN], position, expired_ms) == expired


def test_what_is_no_record_does_not_expire() -> None:
    assert not have_expired([replace(SEEN, key="")], {0: 7}, SENT_MS)


def test_trace_says_that_a_message_removes_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    show_trace(Trace("a", (replace(SEEN, deletes=True),), (), (), "all"), USERS)
    said = capsys.readouterr().out
    assert "deleted, so its row is removed, but for what is newer" in said
    assert "absent" not in said
