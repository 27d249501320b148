"""The stream's judge and Python's agree on hostile messages, and none ends the JVM that reads it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Annotated

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from penstock.kafka.messages import EPOCH, MILLISECOND
from penstock.pipelines.contract import From, Pipeline, Record
from penstock.pipelines.record import Header, Reason
from penstock.stream.judge import transform
from penstock.users import USERS
from tests.hostile import KINDS, TOO_LARGE, Hostile, corpus, encoded, user
from tests.judged import rejected
from tests.spark.corpus import HOSTILE, HOSTILE_TYPES, KAFKA, READING, READINGS

SENT = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
SEED = 20_250_312
GOOD = encoded(user(Random(1)))


def messages(spark: SparkSession, sent: Sequence[Hostile]) -> DataFrame:
    """What Kafka's source gives for these: topic `t`, partition 1, offsets from 0."""

    def row(offset: int, message: Hostile) -> tuple[object, ...]:
        headers = [Row(key=name, value=bytearray(text)) for name, text in message.headers.items()]
        value = None if message.value is None else bytearray(message.value)
        sent = SENT if message.timestamp_ms is None else EPOCH + message.timestamp_ms * MILLISECOND
        return (None, value, "t", 1, offset, sent, message.timestamp_type, headers or None)

    return spark.createDataFrame([row(*numbered) for numbered in enumerate(sent)], KAFKA)


def verdicts(spark: SparkSession, sent: Sequence[Hostile], pipeline: Pipeline = USERS) -> list[str | None]:
    """Spark's reasons, in the order of the messages."""
    rows = transform(messages(spark, sent), pipeline).select("origin.offset", "reason").collect()
    assert len(rows) == len(sent)
    return [row.reason for row in sorted(rows)]


def ours(message: Hostile, pipeline: Pipeline = USERS) -> str | None:
    reason = message.judged(pipeline)
    return reason and reason.value


def test_every_kind_has_its_reason(spark: SparkSession) -> None:
    sent = list(corpus(SEED, 20 * len(KINDS)))
    found = verdicts(spark, sent)
    assert {(m.kind, reason, m.reason) for m, reason in zip(sent, found, strict=True) if reason != m.reason} == set()


def mutated(chance: Random, corpus: Iterable[bytes | None], count: int) -> Iterator[Hostile]:
    """Some of these values with some bytes cut out, put in or changed."""
    seeds = [value for value in corpus if value and len(value) < 3_000]
    pieces = (
        b'"',
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\\u00",
        b"\\ud8",
        b"0",
        b"-",
        b".",
        b"e",
        b"null",
        b" ",
    )
    for _ in range(count):
        value = bytearray(chance.choice(seeds))
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(value) + 1)
            piece = chance.choice(pieces) if chance.random() < 0.7 else chance.randbytes(chance.randrange(3))
            value[at : at + chance.randrange(4)] = piece
        yield Hostile("mutated", bytes(value), None)


@pytest.mark.parametrize(
    ("pipeline", "values"), [(USERS, HOSTILE), (READINGS, HOSTILE_TYPES)], ids=["users", "readings"]
)
def test_twins_agree_on_whatever_comes_of_a_mutation(
    spark: SparkSession, pipeline: Pipeline, values: Mapping[str, bytes | None]
) -> None:
    sent = list(mutated(Random(SEED), values.values(), 6_000))
    found = verdicts(spark, sent, pipeline)
    judged = [(message.value, ours(message, pipeline), reason) for message, reason in zip(sent, found, strict=True)]
    assert [one for one in judged if one[1] != one[2]] == []
    assert {reason for _, reason, _ in judged} >= {Reason.MALFORMED_JSON, Reason.NOT_UTF8, Reason.WRONG_TYPE}


def around(raw: bytes) -> list[Hostile]:
    """This JSON as the value of an unknown field, of a text and of a number."""
    reading = {name: value for name, value in READING.items() if name != "level"}
    bases = ((b"x", GOOD), (b"gender", encoded({**json.loads(GOOD), "gender": None})), (b"level", encoded(reading)))
    return [Hostile(name.decode(), base[:-1] + b',"%s":%s}' % (name, raw), None) for name, base in bases]


@pytest.mark.parametrize("pipeline", [USERS, READINGS], ids=lambda pipeline: pipeline.name)
def test_twins_agree_at_the_limits(spark: SparkSession, pipeline: Pipeline) -> None:
    deep = [
        begin * depth + b"1" + end * depth
        for depth in (98, 99, 100, 101, 198, 199, 200, 500, 900, 998, 1_001)
        for begin, end in ((b"[", b"]"), (b'{"a":', b"}"))
    ]
    starts = (b"", b"-", b"0.", b"-0.", b"1e-", b"1E+", b"1.5e", b"0e", b"12.", b"1.0e+")
    long = [start + b"9" * count for count in (997, 998, 999, 1_000, 1_001) for start in starts]
    names = [b'{"%s":1}' % (b"n" * count) for count in (50_000, 50_001)]
    sent = [message for raw in (*deep, *long, *names) for message in around(raw)]
    found = verdicts(spark, sent, pipeline)
    assert [
        (message.kind, (message.value or b"")[-1_010:-990], ours(message, pipeline), reason)
        for message, reason in zip(sent, found, strict=True)
        if ours(message, pipeline) != reason
    ] == []


def test_letters_of_hostile_messages_keep_their_bytes(spark: SparkSession) -> None:
    sent = [*corpus(SEED + 1, 3 * len(KINDS)), Hostile("too large", TOO_LARGE, Reason.INVALID_VALUE)]
    letters = rejected(transform(messages(spark, sent), USERS), USERS).collect()
    kept = {int(letter.key.split(b"/")[2]): letter.value for letter in letters}
    assert kept == {number: message.value for number, message in enumerate(sent) if message.reason}


def test_headers_of_any_size_and_kind_reach_the_letter_as_they_are(spark: SparkSession) -> None:
    long = b"r" * 1_000_000
    odd = {Header.RUN: long, Header.ITEM: b"\xff\x00", Header.PIPELINE: b"", "other": long}
    [letter] = rejected(transform(messages(spark, [Hostile("odd", b"{", None, odd)]), USERS), USERS).collect()
    kept = {header.key: bytes(header.value) for header in letter.headers}
    assert (kept[Header.RUN], kept[Header.ITEM], kept[Header.PIPELINE]) == (long, b"\xff\x00", b"")
    assert "other" not in kept


def test_last_of_repeated_headers_counts(spark: SparkSession) -> None:
    said = [Row(key=Header.VERSION.value, value=bytearray(text)) for text in (b"9", b"1")]
    frame = spark.createDataFrame([(None, bytearray(GOOD), "t", 1, 0, SENT, 0, said)], KAFKA)
    assert [row.reason for row in transform(frame, USERS).select("reason").collect()] == [None]


class Tag(Record):
    """A record whose key is text."""

    tag: Annotated[str, From("tag")]
    whole: Annotated[int | None, From("whole")] = None


def test_twins_agree_on_keys_that_cassandra_refuses(spark: SparkSession) -> None:
    tags = USERS.model_copy(update={"record": Tag, "key": "tag"})
    keys = ("", "a", "ü" * 32_767, "ü" * 32_767 + "x", "ü" * 32_768)
    sent = [Hostile("tag", encoded({"tag": key, **more}), None) for key in keys for more in ({}, {"whole": "no"})]
    expected = [ours(message, tags) for message in sent]
    assert verdicts(spark, sent, tags) == expected
    assert expected[::2] == [Reason.INVALID_VALUE, None, None, None, Reason.INVALID_VALUE]
