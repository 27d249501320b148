"""What becomes of a Kafka message: a row, or a dead letter with the right reason, and nothing else."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated

import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame, Row, SparkSession

from penstock.pipelines.contract import From, Pipeline
from penstock.pipelines.identity import is_deleted
from penstock.pipelines.record import Header, Reason, Rejected, from_bytes, to_bytes
from penstock.stream.judge import WRITETIME, deletions, good, transform
from penstock.users import USERS
from tests.judged import rejected
from tests.spark.corpus import HOSTILE, HOSTILE_TYPES, KAFKA, READING, READINGS, SENT, USER, Reading, encoded, without

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


def test_a_record_becomes_the_row_it_says(judge: Judge) -> None:
    [row] = judge(USERS, [encoded(USER)])
    assert row.reason is None
    assert {name: value for name, value in row.record.asDict().items() if value is not None} == USER


def test_a_record_with_every_type_becomes_typed_columns(spark: SparkSession) -> None:
    row = good(transform(messages(spark, [encoded(READING)]), READINGS)).drop(WRITETIME)
    expected = spark.createDataFrame(
        [
            (
                *(READING["sensor"], "n", -(2**63), 0.1, True, datetime(2025, 3, 12, 14, 30, 0, 123456, tzinfo=UTC)),
                *(-(2**31), "12.50", "2025-03-12", "2001:db8::1", bytearray(b"\xff\xef"), ["b", "", "a"]),
                *(["علی", "x"], {"b": "1", "": "2"}, '{"type":"Point","at":[1,2.5]}'),
            )
        ],
        "sensor string, name string, count bigint, level double, valid boolean, at timestamp, small int, price string, "
        "day string, host string, raw binary, steps array<string>, tags array<string>, labels map<string, string>, "
        "shape string",
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


class Gone(Reading):
    """A record that may say that it is deleted, in one of two ways."""

    gone: Annotated[bool, From("gone")]


@pytest.mark.parametrize(
    ("field", "changes"), [("gone", {"gone": True}), ("at", {"gone": False, "at": "2025-03-12T14:30:00Z"})]
)
def test_records_that_say_that_they_are_deleted_are_no_rows(
    spark: SparkSession, field: str, changes: dict[str, object]
) -> None:
    pipeline = READINGS.model_copy(update={"record": Gone, "deleted": field})
    lives = encoded({**READING, "gone": False, "at": None})
    dies = encoded({**READING, "at": None, **changes})
    both = transform(messages(spark, [lives, dies, b"{"]), pipeline)
    assert good(both, pipeline).count() == 1
    assert [bytes(row.value) for row in deletions(both, pipeline).collect()] == [dies]
    for value, expected in ((lives, False), (dies, True)):
        record = from_bytes(pipeline, value)
        assert isinstance(record, Gone)
        assert is_deleted(pipeline, record) == expected
