"""What becomes of a Kafka message: a row, or a dead letter with the right reason, and nothing else."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, Row, SparkSession

from penstock.pipelines.contract import From, Pipeline, Record, Text
from penstock.pipelines.record import Header, Reason, Rejected, from_bytes, to_bytes
from penstock.stream.judge import WRITETIME, good, rejected, transform
from penstock.users import USERS

KAFKA = (
    "key binary, value binary, topic string, partition int, offset long, timestamp timestamp, timestampType int, "
    "headers array<struct<key: string, value: binary>>"
)
SENT = datetime(2025, 3, 12, 14, 30, 0, 123000, tzinfo=UTC)
USER = {
    "id": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
    "first_name": "علی",
    "last_name": "Öztürk",
    "email": "ali@example.com",
    "username": "ali1",
}


class Reading(Record):
    """A record with every type that a declaration may have."""

    sensor: Annotated[UUID, From("sensor")]
    name: Annotated[Text | None, From("name")] = None
    count: Annotated[int | None, From("count")] = None
    level: Annotated[float | None, From("level")] = None
    valid: Annotated[bool | None, From("valid")] = None
    at: Annotated[datetime | None, From("at")] = None


READINGS = USERS.model_copy(update={"name": "readings", "record": Reading, "key": "sensor", "version": 3})
READING = {
    "sensor": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
    "name": "n",
    "count": -9_223_372_036_854_775_808,
    "level": 0.1,
    "valid": True,
    "at": "2025-03-12T14:30:00.123456Z",
}

Judge = Callable[[Pipeline, list[bytes | None]], list[Row]]


def messages(spark: SparkSession, values: list[bytes | None], headers: Mapping[str, bytes] | None = None) -> DataFrame:
    """What Kafka's source gives for these values: topic `t`, partition 1, offsets from 0."""
    kept = [Row(key=name, value=bytearray(value)) for name, value in headers.items()] if headers else None
    rows = [
        (None, None if value is None else bytearray(value), "t", 1, offset, SENT, 0, kept)
        for offset, value in enumerate(values)
    ]
    return spark.createDataFrame(rows, KAFKA)


@pytest.fixture
def judge(spark: SparkSession) -> Judge:
    """The transformed rows of some values, in their order."""
    return lambda pipeline, values: transform(messages(spark, values), pipeline).orderBy("origin.offset").collect()


def encoded(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in USER.items() if key != name}


def test_a_record_becomes_the_row_it_says(judge: Judge) -> None:
    [row] = judge(USERS, [encoded(USER)])
    assert row.reason is None
    assert {name: value for name, value in row.record.asDict().items() if value is not None} == USER


def test_a_record_with_every_type_becomes_typed_columns(spark: SparkSession) -> None:
    row = good(transform(messages(spark, [encoded(READING)]), READINGS)).drop(WRITETIME)
    expected = spark.createDataFrame(
        [(READING["sensor"], "n", -(2**63), 0.1, True, datetime(2025, 3, 12, 14, 30, 0, 123456, tzinfo=UTC))],
        "sensor string, name string, count bigint, level double, valid boolean, at timestamp",
    )
    assert_df_equality(row, expected)


def test_what_record_writes_is_read_back_unchanged(judge: Judge) -> None:
    record = Reading.model_validate_json(encoded(READING))
    [row] = judge(READINGS, [to_bytes(record)])
    assert row.reason is None
    assert (row.record["count"], row.record["level"]) == (record.count, record.level)


def test_the_form_of_the_json_does_not_matter(judge: Judge) -> None:
    spaced = json.dumps(dict(reversed(USER.items())), indent=2, ensure_ascii=True).encode()
    plain, other = judge(USERS, [encoded(USER), spaced])
    assert other.reason is None
    assert other.record == plain.record


def test_an_optional_field_may_be_null(judge: Judge) -> None:
    [row] = judge(USERS, [encoded({**USER, "phone": None})])
    assert (row.reason, row.record.phone) == (None, None)


def test_an_offset_beyond_18_hours_is_refused_though_python_knows_it(judge: Judge) -> None:
    [row] = judge(READINGS, [encoded({**READING, "at": "2025-03-12T14:30:00+18:30"})])
    assert row.reason == Reason.INVALID_VALUE


def test_the_write_time_is_the_time_of_the_message(spark: SparkSession) -> None:
    [row] = good(transform(messages(spark, [encoded(USER)]), USERS)).collect()
    assert row[WRITETIME] == int(SENT.timestamp() * 1000) * 1000


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.NO_VALUE),
        (encoded({**USER, "dob": "1980-01-01"}), Reason.UNKNOWN_FIELD),
        (encoded({**USER, "post_code": 12345}), Reason.WRONG_TYPE),
        (encoded({**USER, "picture": {"medium": "x"}}), Reason.WRONG_TYPE),
        (encoded({**USER, "email": None}), Reason.WRONG_TYPE),
        (encoded({**USER, "email": ""}), Reason.INVALID_VALUE),
        (encoded({**USER, "id": "42"}), Reason.INVALID_VALUE),
        (encoded(without("email")), Reason.MISSING_FIELD),
        (encoded(USER)[:-5], Reason.MALFORMED_JSON),
        (encoded(USER) + b" x", Reason.MALFORMED_JSON),
        (encoded(USER).replace(b"ali@", b"\xff@"), Reason.NOT_UTF8),
        (b"[1, 2]", Reason.NOT_AN_OBJECT),
    ],
)
def test_rejects_with_the_reason(judge: Judge, value: bytes | None, reason: Reason) -> None:
    [row] = judge(USERS, [value])
    assert row.reason == reason
    assert row.message


def test_a_message_names_the_field_and_not_its_value(judge: Judge) -> None:
    [row] = judge(USERS, [encoded({**USER, "id": "Secret"})])
    assert row.message == "id: is not a UUID of 36 characters"


def test_a_dead_letter_keeps_the_bytes_and_says_where_from(spark: SparkSession) -> None:
    original = b'{"id": \xff\x00'
    [letter] = rejected(transform(messages(spark, [original]), USERS), USERS).collect()
    headers = {header.key: bytes(header.value).decode() for header in letter.headers}
    assert (letter.topic, bytes(letter.key), bytes(letter.value)) == (USERS.dead_letter_topic, b"t/1/0", original)
    assert headers == {
        Header.PIPELINE: "users",
        Header.VERSION: "1",
        Header.REASON: Reason.NOT_UTF8,
        Header.MESSAGE: "the value is not UTF-8",
        Header.ORIGIN_TOPIC: "t",
        Header.ORIGIN_PARTITION: "1",
        Header.ORIGIN_OFFSET: "0",
        Header.FIRST_SEEN: "2025-03-12T14:30:00.123Z",
    }


def test_a_dead_letter_carries_what_the_message_said_of_itself(spark: SparkSession) -> None:
    said = {Header.PIPELINE: b"users", Header.VERSION: b"0", Header.RUN: b"run-7", "other": b"\xff"}
    [letter] = rejected(transform(messages(spark, [None], said), USERS), USERS).collect()
    headers = {header.key: bytes(header.value) for header in letter.headers}
    assert (headers[Header.VERSION], headers[Header.RUN], letter.value) == (b"0", b"run-7", None)
    assert "other" not in headers


def test_every_message_is_in_exactly_one_half(spark: SparkSession) -> None:
    values = [encoded(USER), None, b"{", encoded({**USER, "dob": 1}), encoded({**USER, "gender": "female"})]
    both = transform(messages(spark, values), USERS)
    assert (good(both).count(), rejected(both, USERS).count()) == (2, 3)


def test_the_value_is_read_as_a_struct_once(spark: SparkSession) -> None:
    rows = good(transform(messages(spark, [encoded(USER)]), USERS))
    plan = rows._jdf.queryExecution().executedPlan().toString()  # the plan itself is what is promised
    assert plan.count("from_json(StructField") == 1


_USER = encoded(USER)
_DEEP = b'{"id":' + b"[" * 5_000 + b"]" * 5_000 + b"}"
HOSTILE: dict[str, bytes | None] = {
    "good": _USER,
    "spaces around": b" \r\n\t" + _USER + b"\n ",
    "every script": encoded({**USER, "first_name": "नमस्ते 你好 😀 \u200f"}),
    "escaped": json.dumps({**USER, "first_name": "😀\x01\x7f\u2028"}).encode(),
    "escaped slash": _USER.replace(b"ali1", b"a\\/b"),
    "escaped key": _USER.replace(b'"id"', b'"\\u0069d"'),
    "upper-case UUID": encoded({**USER, "id": USER["id"].upper()}),
    "escaped NUL": encoded({**USER, "email": "a\x00b"}),
    "null": None,
    "empty": b"",
    "only spaces": b"  ",
    "two objects": _USER + _USER,
    "two lines": _USER + b"\n" + _USER,
    "a brace too many": _USER + b"}",
    "trailing comma after": _USER + b",",
    "a field after": _USER + b', "x": 1',
    "a list's end after": _USER + b"], [1",
    "a number after": _USER + b", 1",
    "a number and a list's end after": _USER + b", 1] ",
    "NUL after": _USER + b"\x00",
    "array around": b"[" + _USER + b"]",
    "text around": json.dumps(_USER.decode()).encode(),
    "number": b"5",
    "JSON null": b"null",
    "empty object": b"{}",
    "same key twice": _USER[:-1] + b',"id":"x"}',
    "same key twice, escaped": _USER[:-1] + b',"\\u0069d":"x"}',
    "same key twice, equal": _USER[:-1] + b',"email":"ali@example.com"}',
    "NaN": _USER[:-1] + b',"phone":NaN}',
    "Infinity": _USER[:-1] + b',"phone":-Infinity}',
    "single quotes": _USER.replace(b'"', b"'"),
    "bare key": _USER.replace(b'"id"', b"id"),
    "comment": _USER[:-1] + b"/**/}",
    "trailing comma": _USER[:-1] + b",}",
    "raw control character": _USER.replace(b"ali1", b"a\x01"),
    "raw NUL": _USER.replace(b"ali1", b"a\x00"),
    "bad escape": _USER.replace(b"ali1", b"\\x"),
    "lone surrogate": _USER.replace(b"ali1", b"\\ud800"),
    "reversed surrogates": _USER.replace(b"ali1", b"\\udc00\\ud800"),
    "raw surrogate": _USER.replace(b"ali1", b"\xed\xa0\x80"),
    "overlong": _USER.replace(b"ali1", b"\xc0\xaf"),
    "cut character": _USER[: _USER.index("علی".encode()) + 1],
    "UTF-16": _USER.decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + _USER,
    "no-break space": b"\xc2\xa0" + _USER,
    "leading zero": _USER[:-1] + b',"phone":01}',
    "deep": _DEEP,
    "as large as may be": encoded({**USER, "address": ""}).replace(b'""', b'"%s"' % (b"x" * (2**22 - len(_USER) - 13))),
    "ten megabytes": encoded({**USER, "address": "x" * 10_000_000}),
    "ten megabytes of nothing": b" " * 10_000_000,
    "ten megabytes of a number": _USER[:-1] + b',"phone":' + b"9" * 900 + b"}",
    "many fields": encoded({**USER, **{f"k{n}": n for n in range(2_000)}}),
    "empty name": encoded({**USER, "": 1}),
    "name like a schema": encoded({**USER, "a: STRING, b": 1}),
    "name in other case": encoded({**without("id"), "ID": USER["id"]}),
    "number for text": encoded({**USER, "phone": 5}),
    "true for text": encoded({**USER, "phone": True}),
    "list for text": encoded({**USER, "phone": ["x"]}),
    "first defect counts": encoded({**USER, "first_name": "", "email": 5, "dob": 1}),
    "missing before unknown": encoded({**without("username"), "dob": 1}),
    "UUID without dashes": encoded({**USER, "id": USER["id"].replace("-", "")}),
    "UUID in braces": encoded({**USER, "id": "{" + USER["id"] + "}"}),
    "UUID and a line": encoded({**USER, "id": USER["id"] + "\n"}),
    "UUID with other digits": encoded({**USER, "id": "٩" + USER["id"][1:]}),
}


def _reading(**changes: Any) -> bytes:
    return encoded({**READING, **changes})


def _raw_reading(name: str, text: bytes) -> bytes:
    return encoded({key: value for key, value in READING.items() if key != name})[:-1] + b',"%s":%s}' % (
        name.encode(),
        text,
    )


HOSTILE_TYPES: dict[str, bytes] = {
    "good": _reading(),
    "largest integer": _reading(count=2**63 - 1),
    "beyond 64 bits": _reading(count=2**63),
    "far beyond 64 bits": _reading(count=10**37),
    "text for integer": _reading(count="5"),
    "true for integer": _reading(count=True),
    "half for integer": _reading(count=1.5),
    "whole double for integer": _raw_reading("count", b"1.0"),
    "minus zero": _raw_reading("count", b"-0"),
    "integer for double": _raw_reading("level", b"7"),
    "exponent for double": _raw_reading("level", b"1.5E-7"),
    "long double": _raw_reading("level", b"0.1234567890123456789012345678901234567890"),
    "smallest double": _raw_reading("level", b"4.9e-324"),
    "long integer for double": _raw_reading("level", b"9" * 60),
    "too large for double": _raw_reading("level", b"1e999"),
    "NaN for double": _raw_reading("level", b"NaN"),
    "NaN in quotes": _reading(level="NaN"),
    "Infinity in quotes": _reading(level="Infinity"),
    "text for double": _reading(level="0.5"),
    "1 for true": _reading(valid=1),
    "text for true": _reading(valid="true"),
    "time with offset": _reading(at="2025-03-12T14:30:00+05:30"),
    "time without zone": _reading(at="2025-03-12T14:30:00"),
    "time of day 25": _reading(at="2025-03-12T25:30:00Z"),
    "time and a line": _reading(at="2025-03-12T14:30:00Z\n"),
    "time with other digits": _reading(at="2025-03-12T14:30:0٩Z"),
    "time with nanoseconds": _reading(at="2025-03-12T14:30:00.123456789Z"),
    "time with a space": _reading(at="2025-03-12 14:30:00Z"),
    "time in small letters": _reading(at="2025-03-12t14:30:00z"),
    "time without seconds": _reading(at="2025-03-12T14:30Z"),
    "leap second": _reading(at="2016-12-31T23:59:60Z"),
    "hour 24": _reading(at="2025-03-12T24:00:00Z"),
    "offset of 24 hours": _reading(at="2025-03-12T14:30:00+24:00"),
    "year 0": _reading(at="0000-01-01T00:00:00Z"),
    "30 February": _reading(at="2025-02-30T00:00:00Z"),
    "date only": _reading(at="2025-03-12"),
    "number for time": _reading(at=1_741_789_800),
    "words for time": _reading(at="yesterday"),
    "year 1": _reading(at="0001-01-01T00:00:00Z"),
    "empty text": _reading(name=""),
    "only what is required": encoded({"sensor": READING["sensor"]}),
    "whole decimal beyond 64 bits": _raw_reading("count", b"1" + b"0" * 30 + b".00"),
    "beyond every decimal": _reading(count=10**45),
    "UUID without dashes and a field missing": encoded({"sensor": READING["sensor"].replace("-", ""), "name": 5}),
}


@pytest.fixture(scope="module")
def verdicts(spark: SparkSession) -> dict[str, str | None]:
    """What Spark says of every hostile value."""
    found: dict[str, str | None] = {}
    for pipeline, corpus in ((USERS, HOSTILE), (READINGS, HOSTILE_TYPES)):
        rows = transform(messages(spark, list(corpus.values())), pipeline).select("origin.offset", "reason").collect()
        names = list(corpus)
        found |= {f"{pipeline.name}: {names[row.offset]}": row.reason for row in rows}
    return found


@pytest.mark.parametrize(
    ("pipeline", "name", "value"),
    [(USERS, *item) for item in HOSTILE.items()] + [(READINGS, *item) for item in HOSTILE_TYPES.items()],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_spark_and_python_judge_alike(
    verdicts: dict[str, str | None], pipeline: Pipeline, name: str, value: bytes | None
) -> None:
    answer = from_bytes(pipeline, value)
    ours = answer.reason if isinstance(answer, Rejected) else None
    assert verdicts[f"{pipeline.name}: {name}"] == ours
