"""What the stream makes of a dead letter that is replayed: its write time, its resolution, its next rejection."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from penstock.pipelines.record import Header, Reason, letter_id, replayed_letter, to_bytes, write_time_ms
from penstock.stream.judge import WRITETIME, good, resolves, transform
from penstock.users import USERS, User
from tests.judged import rejected, resolved

KAFKA = (
    "key binary, value binary, topic string, partition int, offset long, timestamp timestamp, timestampType int, "
    "headers array<struct<key: string, value: binary>>"
)
SENT = datetime(2025, 3, 12, 14, 30, 0, 123000, tzinfo=UTC)
SENT_MS = 1_741_789_800_123
LETTER = letter_id(b"t/0/7", b"{")
GOOD = to_bytes(User(id=UUID(int=1), first_name="علی", last_name="b", email="e@example.com", username="u"))


def replay(spark: SparkSession, value: bytes, **headers: bytes) -> DataFrame:
    """One message of Kafka's source at t/1/5, transformed; `headers` by the names of `Header`."""
    said = [Row(key=Header[name].value, value=bytearray(text)) for name, text in headers.items()]
    row = (None, bytearray(value), "t", 1, 5, SENT, 0, said)
    return transform(spark.createDataFrame([row], KAFKA), USERS)


def texts(headers: list[Row]) -> dict[str, str]:
    return {header.key: bytes(header.value).decode() for header in headers}


@pytest.mark.parametrize(
    "told",
    [
        *(b"1741000000000", b"1741789800123", b"1741789800124", b"999999999999999", b"0", b"1", b"-1", b"", b" 1"),
        *(b"1\n", b"1.5", b"1e3", b"1234567890123456", "١٢".encode(), b"\xff1", b"9" * 30),
    ],
)
def test_write_time_is_the_originals_and_never_later_than_the_message(spark: SparkSession, told: bytes) -> None:
    [row] = good(replay(spark, GOOD, WRITE_TIME_MS=told)).collect()
    as_python_reads = write_time_ms({Header.WRITE_TIME_MS: told.decode("utf-8", "backslashreplace")}, SENT_MS)
    assert row[WRITETIME] == as_python_reads * 1_000
    assert row[WRITETIME] <= SENT_MS * 1_000


def test_write_time_is_the_one_of_the_original(spark: SparkSession) -> None:
    [row] = good(replay(spark, GOOD, WRITE_TIME_MS=b"1741000000000")).collect()
    assert row[WRITETIME] == 1_741_000_000_000_000


def test_replay_that_is_good_says_which_letter_it_resolves(spark: SparkSession) -> None:
    done = replay(spark, GOOD, REPLAYS=LETTER.encode(), RUN=b"r")
    [said] = resolved(done, USERS).collect()
    assert (said.topic, bytes(said.key), bytes(said.value)) == (USERS.dead_letter_topic, LETTER.encode(), b"")
    assert texts(said.headers) == {Header.PIPELINE: "users", Header.RUN: "r", Header.RESOLVED: "t/1/5"}
    assert rejected(done, USERS).count() == 0


def test_replay_that_is_still_bad_is_another_attempt_of_its_letter(spark: SparkSession) -> None:
    done = replay(spark, b"[]", REPLAYS=LETTER.encode())
    [letter] = rejected(done, USERS).collect()
    assert bytes(letter.key) == b"t/1/5"
    assert texts(letter.headers)[Header.REPLAYS] == LETTER
    assert texts(letter.headers)[Header.REASON] == Reason.NOT_AN_OBJECT
    assert texts(letter.headers)[Header.FIRST_SEEN] == "2025-03-12T14:30:00.123Z"
    assert resolved(done, USERS).count() == 0


def test_letter_of_a_replay_was_first_seen_when_its_original_was(spark: SparkSession) -> None:
    [letter] = rejected(replay(spark, b"[]", REPLAYS=LETTER.encode(), WRITE_TIME_MS=b"1741000000000"), USERS).collect()
    assert texts(letter.headers)[Header.FIRST_SEEN] == "2025-03-03T11:06:40.000Z"


@pytest.mark.parametrize("told", [b"", b"a" * 63, b"A" * 64, b"a" * 65, LETTER.encode() + b"\n", b"\xff" * 64])
def test_what_is_no_identity_replays_nothing(spark: SparkSession, told: bytes) -> None:
    done = replay(spark, GOOD, REPLAYS=told)
    assert [row[0] for row in done.select(resolves()).collect()] == [None]
    assert replayed_letter({Header.REPLAYS: told.decode("utf-8", "backslashreplace")}) is None
