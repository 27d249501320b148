"""What is counted of a micro-batch while something else reads it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from pyspark.sql import Row, SparkSession

from penstock.cassandra import Flow, Tally
from penstock.pipelines.record import Header, letter_id, to_bytes
from penstock.stream.counting import Counting, counted, with_flows
from penstock.stream.judge import good, transform
from penstock.users import USERS, User

KAFKA = (
    "key binary, value binary, topic string, partition int, offset long, timestamp timestamp, timestampType int, "
    "headers array<struct<key: string, value: binary>>"
)
SENT = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
GOOD = to_bytes(User(id=UUID(int=1), first_name="علی", last_name="b", email="e@example.com", username="u"))
LETTER = letter_id(b"t/0/7", b"{").encode()


def counting(spark: SparkSession, *messages: tuple[bytes, Mapping[Header, bytes]]) -> Counting:
    """Counted while the good ones are read; message n stands at offset n of partition n % 2."""
    rows = [
        (
            None,
            bytearray(value),
            "t",
            n % 2,
            n,
            SENT,
            0,
            [Row(key=k.value, value=bytearray(v)) for k, v in said.items()],
        )
        for n, (value, said) in enumerate(messages)
    ]
    done = Counting(with_flows(transform(spark.createDataFrame(rows, KAFKA), USERS)), counted())
    good(done.watched).write.format("noop").mode("overwrite").save()
    return done


def of(run: str, attempt: str = "") -> dict[Header, bytes]:
    return {Header.RUN: run.encode(), Header.ATTEMPT: attempt.encode()}


def test_one_run_is_counted_with_what_is_rejected_of_it(spark: SparkSession) -> None:
    done = counting(spark, (GOOD, of("r", "a")), (b"{", of("r", "a")), (GOOD, of("r", "a")))
    assert (done.read, done.rejected) == (3, 1)
    assert done.flows() == {Flow("r", "a"): Tally(3, 1)}


def test_tries_of_a_run_are_told_apart(spark: SparkSession) -> None:
    done = counting(spark, (GOOD, of("r", "a")), (GOOD, of("r", "b")), (b"", of("r", "b")))
    assert done.flows() == {Flow("r", "a"): Tally(1, 0), Flow("r", "b"): Tally(2, 1)}


def test_more_runs_than_can_be_told_apart_by_the_way_are_counted_all_the_same(spark: SparkSession) -> None:
    done = counting(spark, *((GOOD if n % 3 else b"[]", of(f"run {n // 2}")) for n in range(40)))
    expected = {Flow(f"run {n}", ""): Tally(2, sum(not m % 3 for m in (2 * n, 2 * n + 1))) for n in range(20)}
    assert done.flows() == expected


def test_message_of_nobody_is_counted_for_the_run_without_a_name(spark: SparkSession) -> None:
    assert counting(spark, (GOOD, {}), (b"{", {})).flows() == {Flow("", ""): Tally(2, 1)}


def test_hostile_names_are_cut_and_made_readable(spark: SparkSession) -> None:
    [flow] = counting(spark, (GOOD, {Header.RUN: b"\xff" + b"x" * 100_000})).flows()
    assert flow.run == "�" + "x" * 249


def test_replay_is_counted_as_resolving_and_not_once_more(spark: SparkSession) -> None:
    replay = {**of("r"), Header.REPLAYS: LETTER, Header.ITEM: b"1/7"}
    done = counting(spark, (b"{", of("r")), (GOOD, replay), (b"{", replay))
    assert done.flows() == {Flow("r", ""): Tally(1, 1)}
    assert (done.resolving, list(done.resolved_items())) == (1, [("r", "1/7")])


def test_item_without_a_name_is_where_it_stands(spark: SparkSession) -> None:
    assert list(counting(spark, (GOOD, {Header.REPLAYS: LETTER})).resolved_items()) == [("", "t/0/0")]
