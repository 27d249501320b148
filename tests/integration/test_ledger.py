"""The counts in the stack's Cassandra, and `penstock reconcile` over what really ran."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psutil
import pytest

from penstock.audit import ledger
from penstock.audit.trace import trace
from penstock.cassandra import Batch, Counted, Counts, Flow, Report, Store, Tally
from penstock.config import Settings
from penstock.errors import LedgerError
from penstock.ingest import run_ingest
from penstock.kafka import Broker, Message
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header, to_bytes
from penstock.source import Interval
from penstock.stream.epochs import prepare
from penstock.users import User
from tests.waiting import TIMEOUT_S, until

LOOKS = 8
FLOW = Flow("r", "a")
NOTHING = Counted({}, -1)
BATCH = Batch("stream", 7, {FLOW: Tally(100, 2)}, {0: (40, 79), 1: (0, 59)})


@pytest.fixture
def counts(store: Store, pipeline: Pipeline) -> Counts:
    """Counts of a topic that is nobody else's."""
    counts = Counts(store, pipeline.model_copy(update={"topic": f"t{uuid4().hex}"}))
    counts.ensure()
    return counts


def tally(counts: Counts) -> Tally:
    [run] = counts.runs(FLOW.run)
    return run.tallies[FLOW.attempt]


def test_report_that_is_done_again_counts_once(counts: Counts) -> None:
    counts.add(BATCH, NOTHING)
    counts.add(BATCH, NOTHING)
    assert tally(counts) == Tally(100, 2)


def test_batches_of_a_stream_add_up(counts: Counts) -> None:
    counted = NOTHING
    for number in (7, 8, 9):
        counted = counts.add(replace(BATCH, number=number), counted)
    assert tally(counts) == Tally(300, 6)


def test_stream_that_begins_anew_does_not_count_twice(counts: Counts) -> None:
    counts.add(BATCH, NOTHING)
    counts.add(replace(BATCH, stream="another", number=0, flows={FLOW: Tally(130, 3)}), NOTHING)
    assert tally(counts) == Tally(130, 3)


def test_report_is_kept_and_the_newest_is_the_last(counts: Counts) -> None:
    late, early = datetime(2025, 3, 12, 15, tzinfo=UTC), datetime(2025, 3, 12, 14, tzinfo=UTC)
    counts.report(Flow("r", "b"), Report(100, 98, 2, late, {0: 79}))
    counts.report(Flow("r", "a"), Report(90, 90, 0, early, {}))
    [run] = counts.runs()
    assert list(run.reports) == ["a", "b"]
    assert run.reports["b"] == Report(100, 98, 2, late, {0: 79})


def test_runs_of_one_micro_batch_have_an_order(counts: Counts) -> None:
    names = [f"r{number}" for number in range(10)]
    counts.add(replace(BATCH, flows={Flow(name, "a"): Tally(10) for name in names}), NOTHING)
    assert [run.run for run in counts.runs()] == names[::-1]


def test_what_a_report_left_that_was_not_finished_is_taken_back(counts: Counts, store: Store) -> None:
    """The next one takes less of what that one took, and nothing of one of the runs."""
    other = Flow("s", "a")
    counted = counts.add(BATCH, NOTHING)
    counts.add(Batch("stream", 8, {FLOW: Tally(10, 1), other: Tally(5)}, {0: (80, 89), 1: (60, 64)}), counted)
    says(counts, store, counted.position, "0")
    assert counts.resume("stream", 8, {0: 80, 1: 60}) == counted
    assert tally(counts) == Tally(100, 2)
    counted = counts.add(Batch("stream", 8, {FLOW: Tally(3, 1)}, {0: (80, 82)}), counted)
    counts.add(Batch("stream", 9, {FLOW: Tally(7), other: Tally(5)}, {0: (83, 89), 1: (60, 64)}), counted)
    assert (tally(counts), counts.runs("s")[0].tallies) == (Tally(110, 3), {"a": Tally(5)})


def test_batch_that_was_reported_and_not_committed_counts_where_it_ends_further(counts: Counts) -> None:
    counts.add(BATCH, NOTHING)
    counts.add(replace(BATCH, stream="another"), NOTHING)
    counted = counts.resume("stream", 7, {0: 40, 1: 0})
    assert counted == Counted({0: 79, 1: 59}, 0)
    counts.bind("stream", "topic's", "table's")
    counts.add(Batch("stream", 7, {FLOW: Tally(5)}, {0: (40, 84), 1: (0, 20)}), counted)
    assert (tally(counts), counts.position("topic's")) == (Tally(105, 2), {0: 84, 1: 59})


def test_counts_go_on_where_the_clock_was_ahead_for_a_while(
    counts: Counts, stack_settings: Settings, pipeline: Pipeline
) -> None:
    """By hours, and was set right before the stream's next start."""
    in_hours_us = round((datetime.now(UTC) + timedelta(hours=3)).timestamp() * 1e6)
    with Store(stack_settings.cassandra) as store:
        store.write_after(in_hours_us)
        ahead = Counts(store, pipeline.model_copy(update={"topic": counts.topic}))
        counted = ahead.add(BATCH, NOTHING)
        ahead.add(Batch("stream", 8, {FLOW: Tally(10, 1)}, {0: (80, 89)}), counted)
        says(ahead, store, counted.position, "0")
    assert counts.resume("stream", 8, {0: 80, 1: 60}) == counted
    counts.bind("stream", "topic's", "table's")
    counts.add(Batch("stream", 8, {FLOW: Tally(3, 1)}, {0: (80, 82)}), counted)
    assert (tally(counts), counts.position("topic's")) == (Tally(103, 3), {0: 82, 1: 59})


@pytest.mark.parametrize(("begins", "counted", "found"), [(40, 7, Tally(100, 2)), (80, 6, Tally(0, 0))])
def test_last_batch_of_an_older_version_is_counted_or_taken_back(
    counts: Counts, store: Store, begins: int, counted: int, found: Tally
) -> None:
    """It took the batch's number for that of the report, and wrote the position last."""
    counts.add(BATCH, Counted({}, 6))
    says(counts, store, {0: 79}, "null")
    assert counts.resume("stream", 7, {0: begins, 1: 60}).report == counted
    assert tally(counts) == found


def says(counts: Counts, store: Store, position: Mapping[int, int], reports: str) -> None:
    """Sets back how far the stream was counted."""
    keyspace = "spark_streams"
    store.define(
        f"UPDATE {keyspace}.penstock_streams SET position = {dict(position)}, reports = {reports} "  # noqa: S608
        f"WHERE topic = '{counts.topic}' AND stream = 'stream'"
    )


def test_item_resolved_twice_counts_once(counts: Counts, store: Store) -> None:
    counts.add(BATCH, NOTHING)
    for item in ("1/7", "1/8", "1/7"):
        store.execute(counts.resolution, (counts.topic, "r", item))
    assert counts.runs()[0].resolved == 2


def test_position_is_that_of_the_topic_that_is_there(counts: Counts) -> None:
    counts.bind("stream", "topic's", "table's")
    counts.bind("older", "deleted one's", "table's")
    counts.add(BATCH, NOTHING)
    counts.add(replace(BATCH, stream="older", spans={0: (0, 1_000)}), NOTHING)
    assert counts.position("topic's") == {0: 79, 1: 59}


def test_position_of_a_partition_in_which_nothing_came_is_where_the_stream_began(counts: Counts) -> None:
    counts.bind("stream", "topic's", "table's")
    counts.add(BATCH, NOTHING)
    counts.begin("stream", {0: 40, 1: 0, 2: 7})
    assert counts.position("topic's") == {0: 79, 1: 59, 2: 6}
    assert counts.batch_of(2, 6) is None


@pytest.mark.parametrize(("offset", "number"), [(39, None), (40, 7), (79, 7), (80, None)])
def test_micro_batch_of_a_message_is_known(counts: Counts, offset: int, number: int | None) -> None:
    counts.add(BATCH, NOTHING)
    assert counts.batch_of(0, offset) == number


def test_counts_and_data_agree_on_a_run(stack_settings: Settings, pipeline: Pipeline) -> None:
    run = f"test__{uuid4()}"
    moment = datetime.now(UTC)
    for records in (50, 300):
        run_ingest(stack_settings, pipeline, run, Interval(moment), records)
    quick = ledger.wait_until_balanced(stack_settings, pipeline, run, TIMEOUT_S)
    [deep] = ledger.reconcile_deeply(stack_settings, pipeline, run)
    assert quick.equation() == "fetched 300 = stored 300 + dead-lettered 0"
    assert replace(quick.account, duplicates=deep.account.duplicates) == deep.account
    assert (deep.problem, deep.account.repeated) == ("", 50)


def test_a_copy_of_a_message_is_no_problem_of_its_run(
    stack_settings: Settings, pipeline: Pipeline, broker: Broker
) -> None:
    run = f"test__{uuid4()}"
    run_ingest(stack_settings, pipeline, run, Interval(datetime.now(UTC)), 40)
    ledger.wait_until_balanced(stack_settings, pipeline, run, TIMEOUT_S)
    one = next(each for each in broker.tail(pipeline.topic, 400) if each.headers.get(Header.RUN) == run)
    written_at = datetime.fromtimestamp(one.timestamp_ms / 1_000, UTC)
    broker.publish([Message(pipeline.topic, one.key, one.value or b"", one.headers, written_at)])
    until(lambda: ledger.reconcile(stack_settings, pipeline, run)[0].problem, "the copy is not counted")
    assert f"reconcile --run {run} --deep" in ledger.reconcile(stack_settings, pipeline, run)[0].problem
    balance = ledger.wait_until_balanced(stack_settings, pipeline, run, TIMEOUT_S)
    assert (balance.equation(), balance.account.repeated) == ("fetched 40 = stored 40 + dead-lettered 0", 1)


def test_record_that_was_taken_and_is_not_there_is_found_deeply(
    stack_settings: Settings, pipeline: Pipeline, broker: Broker, store: Store
) -> None:
    run = f"test__{uuid4()}"
    run_ingest(stack_settings, pipeline, run, Interval(datetime.now(UTC)), 40)
    ledger.wait_until_balanced(stack_settings, pipeline, run, TIMEOUT_S)
    mine = (m for m in broker.tail(pipeline.topic, 400) if m.headers.get(Header.RUN) == run)
    gone, changed = ((next(mine).key or b"").decode() for _ in range(2))
    table = f"{pipeline.keyspace}.{pipeline.table}"
    store.define(f"DELETE FROM {table} WHERE {pipeline.key} = {gone}")  # noqa: S608
    store.define(f"UPDATE {table} SET last_name = 'by hand' WHERE {pipeline.key} = {changed}")  # noqa: S608
    done = reconcile(stack_settings, "--run", run, "--deep", "--json")
    assert done.returncode == LedgerError.exit_code
    assert json.loads(done.stdout)["lost"] == 1
    assert "passed 1 items" in done.stderr
    assert f"e.g. {changed} (last_name): another program wrote them" in json.loads(done.stdout)["warning"]


def test_rows_past_the_tables_ttl_are_neither_lost_nor_hidden(
    stack_settings: Settings, pipeline: Pipeline, broker: Broker, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that took two records, of an hour ago and of now, into a table that keeps rows for a minute."""
    name = f"users_{uuid4().hex[:8]}"
    own = pipeline.model_copy(update={"topic": name, "table": name})
    store.ensure_table(own)
    store.define(f"ALTER TABLE {own.keyspace}.{name} WITH default_time_to_live = 60")
    resources = prepare(stack_settings, own, store)
    now = datetime.now(UTC)
    for number, sent in enumerate((now - timedelta(hours=1), now)):
        user = User(id=UUID(int=number), first_name="a", last_name="b", email="e", username="u")
        broker.publish([Message(name, b"one partition", to_bytes(user), {Header.RUN: "r"}, sent)])
    [partition] = [number for number, span in broker.offsets(name).items() if span.end]
    resources.counts.bind("stream", resources.topic_id, resources.table_id)
    resources.counts.add(Batch("stream", 0, {Flow("r", "a"): Tally(2)}, {partition: (0, 1)}), NOTHING)
    [balance] = ledger.reconcile_deeply(stack_settings, own)
    assert (balance.account.past_ttl, balance.account.lost) == (1, 1)
    assert ledger.account(stack_settings, own, "r").past_ttl == 1  # as `penstock run` shows it
    with pytest.raises(LedgerError, match="passed 1 items that are neither stored nor dead-lettered"):
        ledger.wait_until_settled(stack_settings, own, "r", TIMEOUT_S)
    assert f"{UUID(int=1)} at {name}/{partition}/1 (no row)" in balance.problem
    assert "default_time_to_live = 60: a row disappears 1 min after it was written" in caplog.text
    found = [trace(stack_settings, own, str(UUID(int=number))) for number in (0, 1)]
    assert [(one.expired, one.properties[0].name) for one in found] == [
        (True, "default_time_to_live = 60"),
        (False, "default_time_to_live = 60"),
    ]


@pytest.mark.parametrize("wait", [ledger.wait_until_balanced, ledger.wait_until_settled])
def test_wait_of_many_looks_opens_its_connections_once(
    stack_settings: Settings, own: Pipeline, broker: Broker, store: Store, wait: Callable[..., object]
) -> None:
    broker.ensure_topics(own)
    store.ensure_table(own)
    counts = Counts(store, own)
    counts.ensure()
    counts.report(FLOW, Report(LOOKS, LOOKS, 0, datetime.now(UTC), {0: LOOKS}))
    before = connections(stack_settings)
    looks: list[set[tuple[str, int]]] = []

    def look(_: object) -> None:
        looks.append(connections(stack_settings) - before)
        # For the next look to read: no stream carries this topic.
        headers = {Header.RUN: FLOW.run, Header.ITEM: f"1/{len(looks)}"}
        broker.publish([Message(own.topic, b"key", b"{}", headers, datetime.now(UTC))])
        if len(looks) == LOOKS:
            raise Looked

    with pytest.raises(Looked):
        wait(stack_settings, own, FLOW.run, TIMEOUT_S, look)
    # Both are open from look to look, and no connection was replaced by another.
    assert {server for server, _ in looks[0]} == {"kafka", "cassandra"}
    assert looks[-1] == set.union(*looks)


def connections(settings: Settings) -> set[tuple[str, int]]:
    """This process's connections to the servers: server, port at this end."""
    names = {settings.ports.kafka: "kafka", settings.ports.cassandra: "cassandra"}
    all_of_them = psutil.Process().net_connections("tcp")
    return {(names[one.raddr.port], one.laddr.port) for one in all_of_them if one.raddr and one.raddr.port in names}


class Looked(Exception):  # noqa: N818 - ends a wait that would never end
    """Often enough."""


def test_reconcile_tells_of_every_run(stack_settings: Settings, pipeline: Pipeline) -> None:
    run = f"test__{uuid4()}"
    run_ingest(stack_settings, pipeline, run, Interval(datetime.now(UTC)), 5)
    ledger.wait_until_balanced(stack_settings, pipeline, run, TIMEOUT_S)
    done = reconcile(stack_settings, "--json")
    assert [json.loads(line)["run"] for line in done.stdout.splitlines()].index(run) == 0


def test_reconcile_knows_no_run_of_that_name(stack_settings: Settings) -> None:
    done = reconcile(stack_settings, "--run", "nobody's")
    assert (done.returncode, done.stdout) == (LedgerError.exit_code, "")
    assert 'nothing is known of run "nobody\'s"' in done.stderr


def reconcile(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings.environment()}
    command = (sys.executable, "-m", "penstock", "reconcile", *arguments)
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
