"""The counts that ingest and stream report, kept beside the pipeline's table: the quick side of the ledger.

Small tables of ours, keyed by the topic. Every write is an upsert that may be repeated. Ingest reports an attempt of a
run once it has succeeded. The stream reports for each batch (a micro-batch, or an epoch of real-time mode) how many
messages of which attempt it took: after rows and dead letters are acknowledged, before the batch is committed.

Each message counts once, wherever batches begin and end. A report ends with one write that says up to which offset of
each partition the stream was counted, and by how many reports. Of a batch that is done again only what is beyond that
counts, and what a report left that was not finished is taken back first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from penstock.cassandra import commitlog
from penstock.cassandra.table import Store
from penstock.pipelines.contract import Pipeline

_WEEK_S = 7 * 24 * 3_600
# Of how many partitions' entries beside an offset one may be the batch that holds it: one for each stream there was.
_STREAMS = 16


class Flow(NamedTuple):
    """One attempt of a run to publish its items. `attempt` is empty for messages of other producers than ingest."""

    run: str
    attempt: str


@dataclass(frozen=True)
class Tally:
    """Messages of one flow that a stream took, and those among them that it rejected."""

    read: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class Batch:
    """The report of a stream on one batch.

    `spans` is partition -> (first, last offset) of the messages that it took; without partitions of which it took none.
    `flows` are those of them that were not counted before.
    """

    stream: str
    number: int
    flows: Mapping[Flow, Tally]
    spans: Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Counted:
    """How far a stream is counted: partition -> last offset, and the number of its last report."""

    position: Mapping[int, int]
    report: int


@dataclass(frozen=True)
class Report:
    """The report of ingest on an attempt that succeeded: `fetched` = `acknowledged` + `rejected`."""

    fetched: int
    acknowledged: int
    rejected: int
    at: datetime
    last: Mapping[int, int]
    """Partition -> offset of its last message there."""
    distinct: int | None = None
    """Different ones among what was fetched; None where the report is of a version that did not count them."""


@dataclass(frozen=True)
class RunCounts:
    """The counts of one run, from which it is known without looking at the data."""

    run: str
    reports: dict[str, Report]
    """Attempt -> its report, the newest last."""
    tallies: Mapping[str, Tally]
    """Attempt -> what the stream took that took most of it: a new checkpoint makes a new stream, which begins anew."""
    resolved: int
    """Items whose dead letter was replayed and stored."""
    seen: datetime
    """When it was last reported on."""


@dataclass(frozen=True)
class Newest:
    """The micro-batch that a stream reported last; known for a week."""

    number: int
    at: datetime


class Counts:
    """The counts of one pipeline, in an open `Store`."""

    def __init__(self, store: Store, pipeline: Pipeline) -> None:
        self._store = store
        self._pipeline = pipeline
        self.topic = pipeline.topic

    def ensure(self) -> None:
        """Makes keyspace and tables where they are absent, and adds the columns that tables of older versions lack."""
        self._store.ensure_keyspace(self._pipeline)
        for name, columns in _TABLES.items():
            if not self._store.has_table(self._pipeline.keyspace, name):
                self._store.define(f"CREATE TABLE IF NOT EXISTS {self._pipeline.keyspace}.{name} {columns}")
        for name, column, kind in _ADDED:
            if not self._store.has_column(self._pipeline.keyspace, name, column):
                self._store.define(f"ALTER TABLE {self._pipeline.keyspace}.{name} ADD {column} {kind}")

    def exist(self) -> bool:
        """Whether the tables are there as this version has them; before the first ingest or stream they are not."""
        keyspace, store = self._pipeline.keyspace, self._store
        return all(store.has_table(keyspace, name) for name in _TABLES) and all(
            store.has_column(keyspace, name, column) for name, column, _ in _ADDED
        )

    def report(self, flow: Flow, report: Report) -> None:
        """Keeps the report of ingest on an attempt."""
        self._execute(
            _REPORT,
            *flow,
            report.fetched,
            report.acknowledged,
            report.rejected,
            report.at,
            report.last,
            report.distinct,
        )

    def add(self, batch: Batch, counted: Counted) -> Counted:
        """Keeps the report of a stream on a batch, of which so much was counted before; returns what is counted then.

        Only for the one process that works on the stream's checkpoint: sums are read and written back.
        """
        now, number = datetime.now(UTC), counted.report + 1
        for flow, tally in batch.flows.items():
            known = self._execute(_KNOWN, *flow, batch.stream)
            before = _before(known[0], number) if known else Tally()
            sums = (before.read, before.rejected, tally.read, tally.rejected)
            self._execute(_COUNT, *flow, batch.stream, number, *sums, now)
        spans = ((self.topic, p, last, batch.stream, first, batch.number) for p, (first, last) in batch.spans.items())
        self._store.execute_each(self._cql(_SPAN), spans)
        passed = {p: last for p, (_, last) in batch.spans.items() if last > counted.position.get(p, -1)}
        self._store.execute(self._cql(_PASSED), (passed, number, self.topic, batch.stream))
        return Counted({**counted.position, **passed}, number)

    def resume(self, stream: str, batch: int, begins: Mapping[int, int]) -> Counted:
        """How far a stream is counted. Takes back the counts of a report that was not finished.

        To be called before the first report of a query. By its checkpoint the stream goes on with that batch, at
        `begins`, partition -> offset: it is asked where a version reported that did not keep the number of reports.
        """
        self._store.write_after(self._last_written_us(stream))
        mine = [row for row in self._execute(_TALLIES_OF) if row["stream"] == stream]
        known = [(row["position"] or {}, row["reports"]) for row in self._execute(_BOUND, stream)]
        position, report = known[0] if known else ({}, None)
        if report is None:
            # That version took the batch's number, and wrote the position last.
            finished = any(last >= begins.get(partition, 0) for partition, last in position.items())
            report = max([batch - 1, *(row["number"] for row in mine)]) if finished else batch - 1
        for row in mine:
            if row["number"] > report:
                before = (row["read_before"], row["rejected_before"])
                self._execute(_COUNT, row["run"], row["attempt"], stream, report, *before, 0, 0, row["seen"])
        return Counted(dict(position), report)

    def _last_written_us(self, stream: str) -> int:
        """The latest write time of what a stream reported: in the future where the clock of its machine was ahead."""
        found = [*self._execute(_COUNTS_WRITTEN), *self._execute(_POSITION_WRITTEN, stream)]
        return max((row["written"] for row in found if row["written"] is not None), default=0)

    def begin(self, stream: str, offsets: Mapping[int, int]) -> None:
        """Keeps that a stream begins at these offsets, partition -> offset: what is before them it has passed.

        Whatever a micro-batch says of the same partition counts, whichever is said first.
        """
        passed = {partition: first - 1 for partition, first in offsets.items() if first}
        self._store.execute(self._cql(_BEGAN), (passed, self.topic, stream))

    @property
    def resolution(self) -> str:
        """Statement that keeps that the dead letter of an item was replayed and stored: topic, run, item."""
        return self._cql(_RESOLVE)

    def runs(self, run: str | None = None, newest: int | None = None) -> list[RunCounts]:
        """The counts of each run, or of the named one, or of so many of the newest; the newest first."""
        which, values = ("AND run = ?", (run,)) if run is not None else ("", ())
        reported = list(self._execute(f"{_REPORTS_OF} {which}", *values))
        taken = list(self._execute(f"{_TALLIES_OF} {which}", *values))
        seen: dict[str, datetime] = {}
        for name, at in (*((r["run"], r["reported"]) for r in reported), *((t["run"], t["seen"]) for t in taken)):
            seen[name] = max(_aware(at), seen.get(name, _aware(at)))
        # One micro-batch may say the last of several.
        names = sorted(seen, key=lambda name: (seen[name], name), reverse=True)[:newest]
        of_reports, of_tallies = _by_run(reported), _by_run(taken)
        return [self._run(name, of_reports.get(name, []), of_tallies.get(name, []), seen[name]) for name in names]

    def position(self, topic_id: str) -> dict[int, int]:
        """Partition -> last offset that a stream passed, a message or not; without partitions of which it passed none.

        Of the topic with that identity: in one that was made again offsets begin anew.
        """
        return self.positions().get(topic_id, {})

    def positions(self) -> dict[str, dict[int, int]]:
        """Identity of a topic -> its position, for each topic of the name that a stream has read."""
        found: dict[str, dict[int, int]] = {}
        for row in self._execute(_STREAMS_BOUND):
            position = found.setdefault(row["topic_id"] or "", {})
            for partition, last in (row["position"] or {}).items():
                position[partition] = max(last, position.get(partition, last))
        return found

    def newest_batch(self, partitions: Iterable[int]) -> Newest | None:
        """The micro-batch of these partitions that was reported last."""
        rows = [row for partition in partitions for row in self._execute(_LAST_SPAN, partition)]
        last = max(rows, key=lambda row: row["written"], default=None)
        return Newest(last["number"], datetime.fromtimestamp(last["written"] / 1e6, UTC)) if last else None

    def batch_of(self, partition: int, offset: int) -> int | None:
        """The micro-batch that took a message, the latest if several did; known for a week."""
        rows = [row for row in self._execute(_SPANS, partition, offset, _STREAMS) if row["first"] <= offset]
        return max(rows, key=lambda row: row["written"])["number"] if rows else None

    def bound_to(self, stream: str) -> tuple[str, str] | None:
        """Identities of topic and table that a stream's checkpoint speaks of; None for a stream that is new."""
        rows = self._execute(_BOUND, stream)
        return (rows[0]["topic_id"], rows[0]["table_id"]) if rows else None

    def bind(self, stream: str, topic_id: str, table_id: str) -> None:
        """Keeps which topic and table a stream's checkpoint speaks of."""
        self._execute(_BIND, stream, topic_id, table_id)

    def rebind(self, table_id: str) -> None:
        """The table was made again and filled from the topic: it is now every stream's."""
        for row in self._execute(_STREAMS_BOUND):
            self._execute(_BIND, row["stream"], row["topic_id"], table_id)

    def _run(
        self, run: str, reported: list[Mapping[str, Any]], taken: list[Mapping[str, Any]], seen: datetime
    ) -> RunCounts:
        reports = sorted(((row["attempt"], _report(row)) for row in reported), key=lambda pair: pair[1].at)
        tallies: dict[str, Tally] = {}
        for row in taken:
            tally = Tally(row["read_before"] + row["read"], row["rejected_before"] + row["rejected"])
            tallies[row["attempt"]] = max(tally, tallies.get(row["attempt"], Tally()), key=lambda each: each.read)
        # Only what was rejected can be resolved.
        rejected = any(report.rejected for _, report in reports) or any(tally.rejected for tally in tallies.values())
        resolved = self._execute(_RESOLVED, run)[0]["n"] if rejected else 0
        return RunCounts(run, dict(reports), tallies, resolved, seen)

    def _execute(self, cql: str, *values: Any) -> list[Mapping[str, Any]]:
        return self._store.execute(self._cql(cql), (self.topic, *values))

    def _cql(self, cql: str) -> str:
        return cql.format(keyspace=self._pipeline.keyspace)


def _before(known: Mapping[str, Any], number: int) -> Tally:
    """What was counted before the report of that number."""
    before = Tally(known["read_before"], known["rejected_before"])
    if known["number"] == number:
        return before
    return Tally(before.read + known["read"], before.rejected + known["rejected"])


def _by_run(rows: list[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["run"], []).append(row)
    return found


def _report(row: Mapping[str, Any]) -> Report:
    counted = (row["fetched"], row["acknowledged"], row["rejected"])
    return Report(*counted, at=_aware(row["reported"]), last=dict(row["last"] or {}), distinct=row["distinct_items"])


def _aware(moment: datetime) -> datetime:
    """The driver gives times in UTC without saying so."""
    return moment.replace(tzinfo=UTC)


# Sums, not one line a batch: a run of a year's batches takes the room of one. `read` and `rejected` are those of report
# `number`, so that it can be taken back or replaced.
_TABLES: Mapping[str, str] = {
    commitlog.TABLE: "(id int PRIMARY KEY)",
    "penstock_runs": """(
        topic text, run text, attempt text, reported timestamp, fetched bigint, acknowledged bigint, rejected bigint,
        last map<int, bigint>, distinct_items bigint, PRIMARY KEY (topic, run, attempt)
    )""",
    "penstock_counts": """(
        topic text, run text, attempt text, stream text, number bigint, read_before bigint, rejected_before bigint,
        read bigint, rejected bigint, seen timestamp, PRIMARY KEY (topic, run, attempt, stream)
    )""",
    "penstock_resolved": "(topic text, run text, item text, PRIMARY KEY ((topic, run), item))",
    "penstock_batches": f"""(
        topic text, partition int, last bigint, stream text, first bigint, number bigint,
        PRIMARY KEY ((topic, partition), last, stream)
    ) WITH default_time_to_live = {_WEEK_S}""",
    "penstock_streams": """(
        topic text, stream text, topic_id text, table_id text, position map<int, bigint>, reports bigint,
        PRIMARY KEY (topic, stream)
    )""",
}
COUNT_TABLES = tuple(_TABLES)
"""The names of the counts' tables, in the keyspace of the pipeline."""
_ADDED = (("penstock_runs", "distinct_items", "bigint"), ("penstock_streams", "reports", "bigint"))
"""Columns that came after their table's first version: table, name, type."""
_REPORT = """
INSERT INTO {keyspace}.penstock_runs
    (topic, run, attempt, fetched, acknowledged, rejected, reported, last, distinct_items)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_KNOWN = "SELECT * FROM {keyspace}.penstock_counts WHERE topic = ? AND run = ? AND attempt = ? AND stream = ?"
_COUNT = """
INSERT INTO {keyspace}.penstock_counts
    (topic, run, attempt, stream, number, read_before, rejected_before, read, rejected, seen)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SPAN = """
INSERT INTO {keyspace}.penstock_batches (topic, partition, last, stream, first, number) VALUES (?, ?, ?, ?, ?, ?)
"""
_RESOLVE = "INSERT INTO {keyspace}.penstock_resolved (topic, run, item) VALUES (?, ?, ?)"
_RESOLVED = "SELECT count(*) AS n FROM {keyspace}.penstock_resolved WHERE topic = ? AND run = ?"
_REPORTS_OF = "SELECT * FROM {keyspace}.penstock_runs WHERE topic = ?"
_TALLIES_OF = "SELECT * FROM {keyspace}.penstock_counts WHERE topic = ?"
_PASSED = """
UPDATE {keyspace}.penstock_streams SET position = position + ?, reports = ? WHERE topic = ? AND stream = ?
"""
_BEGAN = """
UPDATE {keyspace}.penstock_streams USING TIMESTAMP 1 SET position = position + ? WHERE topic = ? AND stream = ?
"""
_SPANS = """
SELECT first, number, writetime(number) AS written FROM {keyspace}.penstock_batches
WHERE topic = ? AND partition = ? AND last >= ? LIMIT ?
"""
_LAST_SPAN = """
SELECT number, writetime(number) AS written FROM {keyspace}.penstock_batches
WHERE topic = ? AND partition = ? ORDER BY last DESC LIMIT 1
"""
_COUNTS_WRITTEN = "SELECT max(writetime(number)) AS written FROM {keyspace}.penstock_counts WHERE topic = ?"
_POSITION_WRITTEN = """
SELECT writetime(reports) AS written FROM {keyspace}.penstock_streams WHERE topic = ? AND stream = ?
"""
_BOUND = "SELECT * FROM {keyspace}.penstock_streams WHERE topic = ? AND stream = ?"
_STREAMS_BOUND = "SELECT * FROM {keyspace}.penstock_streams WHERE topic = ?"
_BIND = "INSERT INTO {keyspace}.penstock_streams (topic, stream, topic_id, table_id) VALUES (?, ?, ?, ?)"
