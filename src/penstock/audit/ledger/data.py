"""The account taken from the data: every message in Kafka is compared with its row in Cassandra, value by value."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, Protocol, Self

from penstock.audit.ledger.account import Account
from penstock.cassandra import Row
from penstock.kafka import Received, Topics
from penstock.pipelines.contract import Column, Pipeline, Record
from penstock.pipelines.identity import is_deleted, key_of, key_of_row, key_text
from penstock.pipelines.record import Header, Rejected, from_bytes, replayed_letter, write_time_ms

_AT_ONCE = 1_000
_EXAMPLES = 5
_NO_ROW = "no row"


class Rows(Protocol):
    """What the ledger needs of `Store`."""

    def rows(self, pipeline: Pipeline, ids: Iterable[Any]) -> Iterator[Row]: ...

    def expired_ms(self, pipeline: Pipeline) -> int: ...


class Ledger:
    """Follows one run, or all: each `refresh` reads only what is new, and looks up only what was in flight.

    What it knows of the messages is kept in a temporary SQLite file, so memory does not grow with them. `on_progress`
    gets the number of messages of the topic that were read so far.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        run_id: str | None,
        broker: Topics,
        store: Rows,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._pipeline = pipeline
        self._run_id = run_id
        self._on_progress = on_progress
        self._read = 0
        self._broker = broker
        self._store = store
        self._expired_ms = -1
        self._read_to: dict[str, dict[int, int]] = {}
        self._book = sqlite3.connect("")  # a temporary file of SQLite's own
        self._book.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._book.close()

    def refresh(self, position: Mapping[int, int] | None = None) -> Account:
        """The account of this moment, of the one run.

        `position`, partition -> offset, is where the stream was before this call: what it passed and what neither
        arrived nor was rejected is lost. Deletions that it has not passed are in flight, whatever the table shows: that
        a row is not there is no sign of one.
        """
        run_id = self._run_id or ""
        nothing = Account(run_id, 0, 0, 0, 0, 0, 0)
        return self.refresh_all(position).get(run_id, nothing)

    def refresh_all(self, position: Mapping[int, int] | None = None) -> dict[str, Account]:
        """Run -> its account of this moment; messages of no run are those of the run without a name."""
        self._enter(_ENTER_POSITION, (position or {}).items())
        self._read_letters()
        self._settle()
        for messages in _batches(self._new(self._pipeline.topic, self._count_read)):
            [known] = self._book.execute("SELECT coalesce(max(rowid), 0) FROM entry").fetchone()
            self._enter(_ENTER_MESSAGE, map(self._message, messages))
            # At once, so that no value is kept longer than needed; what was in flight before is not looked up again.
            self._settle(known)
        # What was rejected while the topic was read.
        self._read_letters()
        self._settle_replaced()
        return self._accounts()

    def in_flight_examples(self) -> str:
        """Some of what is in flight, for people."""
        return _told(self._book.execute(_FLYING_EXAMPLES, (_EXAMPLES,)))

    def lost_examples(self, run_id: str) -> str:
        """Some of what the run's last account calls lost, for people."""
        return _told(self._book.execute(_LOST_EXAMPLES, (run_id, self._expired_ms, _EXAMPLES)))

    def _read_letters(self) -> None:
        for letters in _batches(self._new(self._pipeline.dead_letter_topic, lambda: None)):
            # A resolution is no letter: what it resolved is counted where it stands.
            real = [letter for letter in letters if Header.RESOLVED not in letter.headers]
            self._enter(_ENTER_REJECTED, (_rejected(m) for m in real if Header.ORIGIN_URL in m.headers))
            self._enter(_ENTER_LETTER, ((_key(m),) for m in real if Header.ORIGIN_URL not in m.headers))
        with self._book:
            self._book.execute(_SETTLE_LETTERS, (0,))

    def _settle(self, known: int = 0) -> None:
        """Looks up what is in flight, of the entries with a higher number than `known`."""
        with self._book:
            self._book.execute(_SETTLE_LETTERS, (known,))
        for flying in self._in_flight(known):
            self._settle_stored(flying)

    def _settle_replaced(self) -> None:
        clears, deletes = self._pipeline.absent == "clear", bool(self._pipeline.deleted)
        if deletes or (clears and self._book.execute(_ANY_UNSET).fetchone()):
            with self._book:
                self._book.execute(_SETTLE_REPLACED, (clears,))
        if deletes:
            with self._book:
                self._book.execute(_AWAIT_DELETIONS)

    def _new(self, topic: str, count: Callable[[], None]) -> Iterator[Received]:
        """The run's messages in the topic that were not read before."""
        end = {number: span.end for number, span in self._broker.offsets(topic).items()}
        for message in self._broker.read(topic, start=self._read_to.get(topic), end=end):
            count()
            if self._run_id is None or message.headers.get(Header.RUN) == self._run_id:
                yield message
        self._read_to[topic] = end

    def _count_read(self) -> None:
        self._read += 1
        if self._read % _AT_ONCE == 0:
            self._on_progress(self._read)

    def _enter(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        with self._book:
            self._book.executemany(statement, values)

    def _message(self, message: Received) -> tuple[Any, ...]:
        headers = message.headers
        record = from_bytes(self._pipeline, message.value, message.headers.get(Header.VERSION))
        # A replay is no item of its own, nor one that a retry published again.
        new = replayed_letter(headers) is None
        place = (headers.get(Header.RUN, ""), headers.get(Header.ITEM, message.origin), message.origin)
        at = (message.partition, message.offset, new)
        if isinstance(record, Rejected):
            return (*place, *at, None, None, 0, 0)
        key = key_text(key_of(self._pipeline, record))
        written_ms = write_time_ms(headers, message.timestamp_ms)
        return (*place, *at, key, message.value, written_ms, is_deleted(self._pipeline, record))

    def _in_flight(self, last: int) -> Iterator[list[tuple[int, Record, int]]]:
        """(number of the entry, its record, time of its message), in batches, after entry number `last`."""
        while rows := self._book.execute(_IN_FLIGHT, (last, _AT_ONCE)).fetchall():
            read = [(number, from_bytes(self._pipeline, value), at_ms) for number, value, at_ms in rows]
            yield [(number, record, at_ms) for number, record, at_ms in read if not isinstance(record, Rejected)]
            last = rows[-1][0]

    def _settle_stored(self, flying: list[tuple[int, Record, int]]) -> None:
        pipeline = self._pipeline
        ids = {key_of(pipeline, record) for _, record, _ in flying}
        rows = {key_of_row(pipeline, row.values): row for row in self._store.rows(pipeline, ids)}
        found = [
            (difference(pipeline, record, rows.get(key_of(pipeline, record)), at_ms), number)
            for number, record, at_ms in flying
        ]
        self._enter(_DIFFERS, ((*each, number) for each, number in found if each.why))
        self._enter(_SETTLE_STORED, ((number,) for each, number in found if not each.why))

    def _accounts(self) -> dict[str, Account]:
        # Asked after the rows were looked up: what was missing then had expired by now, if this says that it had.
        self._expired_ms = self._store.expired_ms(self._pipeline)
        items = {row[0]: row[1:] for row in self._book.execute(_COUNT_ITEMS, (self._expired_ms,))}
        messages = {row[0]: row[1:] for row in self._book.execute(_COUNT_MESSAGES)}
        found = {}
        for run, (missing, dead_lettered, stored, lost, past_ttl) in items.items():
            sent, on_topic, keyed, keys = messages.get(run, (0, 0, 0, 0))
            counted = (on_topic, stored, dead_lettered, missing - past_ttl, keyed - keys, sent - on_topic)
            found[run] = Account(run, *counted, lost=lost, past_ttl=past_ttl)
        return found


class Difference(NamedTuple):
    """What a row does not show of a record; names columns, never their values."""

    why: str
    """Empty when it shows all of it."""
    only_unset: bool
    """No cell has a wrong value or write time, some have none: they were never written, cleared since, or expired."""


def difference(pipeline: Pipeline, record: Record, row: Row | None, timestamp_ms: int) -> Difference:
    """Whether the row, if there is one, shows that the record was stored.

    A cell of a later write time is a newer record's, which is as it should be. A column that the record has absent must
    have no older value, unless the pipeline keeps it, and none of this record's write time. A column that the record
    has must be set; unset it may be where a newer record cleared it, for which Cassandra tells no write time: so the
    newer record is known by the columns that every record has.

    A record that says that it is deleted is stored when its row is not there, or all of it is newer. A row without any
    value tells no write time.
    """
    if is_deleted(pipeline, record):
        return _undeleted(row, timestamp_ms * 1_000)
    if row is None:
        return Difference(_NO_ROW, only_unset=True)
    written_us = timestamp_ms * 1_000
    unset, wrong = [], []
    for column in pipeline.cells:
        expected, cell_us = getattr(record, column.name), row.written_us.get(column.name)
        if cell_us is None:
            unset += [f"{column.name} is not set"] if expected is not None else []
        elif expected is None:
            wrong += [f"{column.name} is still set"] if _is_left(pipeline, cell_us, written_us) else []
        elif cell_us < written_us:
            wrong.append(f"{column.name} is older")
        elif cell_us == written_us and not _is_same(column, expected, row.values[column.name]):
            wrong.append(f"{column.name} differs")
    if not wrong and (not unset or _is_replaced(pipeline, row, written_us)):
        return Difference("", only_unset=False)
    return Difference(", ".join([*wrong, *unset]), only_unset=not wrong)


def _undeleted(row: Row | None, written_us: int) -> Difference:
    """What is left of a row that was to be removed at this write time."""
    if row is None:
        return Difference("", only_unset=False)
    left = [f"{name} is still set" for name, cell_us in row.written_us.items() if cell_us <= written_us]
    if left or not row.written_us:
        return Difference(", ".join(left) or "its row is still there", only_unset=not left)
    return Difference("", only_unset=False)


def _is_left(pipeline: Pipeline, cell_us: int, written_us: int) -> bool:
    """Whether a cell stands there that the record, which has it absent, must have cleared."""
    return cell_us == written_us or (cell_us < written_us and pipeline.absent == "clear")


def _is_replaced(pipeline: Pipeline, row: Row, written_us: int) -> bool:
    """Whether a newer record was written over all of it: then what is unset in the row was cleared."""
    if pipeline.absent == "keep":
        return False
    newer = {column.name for column in pipeline.cells if row.written_us.get(column.name, -1) > written_us}
    required = {column.name for column in pipeline.cells if column.required}
    return required <= newer if required else bool(newer)


def _is_same(column: Column, expected: Any, found: Any) -> bool:
    return found is not None and column.kind.is_same(expected, found)


def _rejected(letter: Received) -> tuple[str, str, str]:
    return (letter.headers.get(Header.RUN, ""), letter.headers.get(Header.ITEM, _key(letter)), _key(letter))


def _told(found: Iterable[tuple[str | None, str, str]]) -> str:
    return "; ".join(f"{'no record' if key is None else key} at {origin} ({why})" for key, origin, why in found)


def _key(letter: Received) -> str:
    return (letter.key or b"").decode("utf-8", "backslashreplace")


def _batches(messages: Iterator[Received]) -> Iterator[list[Received]]:
    while batch := list(islice(messages, _AT_ONCE)):
        yield batch


# `state`: 0 in flight, 1 dead-lettered, 2 stored. `key` and `value` only where the message holds a record, the value
# only as long as it is needed. `why` is what a look-up found wrong, `unset` whether that is only what is not there:
# such a record may have been stored, and replaced by a newer one or expired since. `on_topic` is false for what ingest
# rejected, which has no partition, and for replays. `awaits`: what is not there may have been removed by a deletion
# that is in flight. A letter may be read before its message.
_TABLES = """
CREATE TABLE entry (
    run TEXT NOT NULL, item TEXT NOT NULL, origin TEXT UNIQUE NOT NULL, partition INT, offset INT,
    on_topic INT NOT NULL, state INT NOT NULL DEFAULT 0,
    key TEXT, value BLOB, written_ms INT, deletes INT NOT NULL DEFAULT 0, awaits INT NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT 'no row', unset INT NOT NULL DEFAULT 1
);
CREATE INDEX flying ON entry (state) WHERE state = 0;
CREATE TABLE letter (origin TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE position (partition INT PRIMARY KEY, last INT NOT NULL);
"""
_ENTER_MESSAGE = """
INSERT OR IGNORE INTO entry (run, item, origin, partition, offset, on_topic, key, value, written_ms, deletes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ENTER_REJECTED = "INSERT OR IGNORE INTO entry (run, item, origin, on_topic, state) VALUES (?, ?, ?, 0, 1)"
_ENTER_LETTER = "INSERT OR IGNORE INTO letter VALUES (?)"
_ENTER_POSITION = "INSERT OR REPLACE INTO position VALUES (?, ?)"
_SETTLE_LETTERS = """
UPDATE entry SET state = 1, value = NULL WHERE state = 0 AND rowid > ? AND origin IN (SELECT origin FROM letter)
"""
_DIFFERS = "UPDATE entry SET why = ?, unset = ? WHERE rowid = ?"
_SETTLE_STORED = "UPDATE entry SET state = 2, value = NULL WHERE rowid = ?"
_IN_FLIGHT = """
SELECT entry.rowid, value, written_ms FROM entry LEFT JOIN position USING (partition)
WHERE state = 0 AND value IS NOT NULL AND entry.rowid > ? AND (NOT deletes OR offset <= last)
ORDER BY entry.rowid LIMIT ?
"""
# A newer message of the same key, which is stored itself, wrote every column, the ones that are not set among them,
# unless absent values are kept; a deletion removed them. Of two with one write time none is newer, but a deletion wins.
_ANY_UNSET = "SELECT 1 FROM entry WHERE state = 0 AND unset AND why <> 'no row' LIMIT 1"
_SETTLE_REPLACED = """
UPDATE entry SET state = 2, value = NULL WHERE rowid IN (
    SELECT missing.rowid FROM entry AS missing JOIN (
        SELECT key, max(written_ms + deletes) AS newest_ms FROM entry
        WHERE state = 2 AND (deletes OR ?) AND key IN (SELECT key FROM entry WHERE state = 0 AND unset) GROUP BY key
    ) AS stored ON stored.key = missing.key AND stored.newest_ms > missing.written_ms
    WHERE missing.state = 0 AND missing.unset
)
"""
_AWAIT_DELETIONS = """
UPDATE entry SET awaits = unset AND key IN (
    SELECT key FROM entry LEFT JOIN position USING (partition)
    WHERE state = 0 AND deletes AND coalesce(offset > last, 1)
) WHERE state = 0
"""
_FLYING_EXAMPLES = "SELECT key, origin, why FROM entry WHERE state = 0 LIMIT ?"
_LOST_EXAMPLES = """
SELECT key, origin, why FROM entry JOIN position USING (partition)
WHERE state = 0 AND run = ? AND offset <= last AND NOT awaits AND NOT (unset AND coalesce(written_ms <= ?, 0)) LIMIT ?
"""
_COUNT_ITEMS = """
SELECT run, sum(state = 0), sum(state = 1), sum(state = 2), sum(state = 0 AND passed AND NOT expired),
    sum(state = 0 AND passed AND expired)
FROM (
    SELECT run, max(state) AS state, coalesce(max(offset <= last AND NOT awaits), 0) AS passed,
        min(unset AND coalesce(written_ms <= ?, 0)) AS expired
    FROM entry LEFT JOIN position USING (partition) GROUP BY run, item
) GROUP BY run
"""
_COUNT_MESSAGES = """
SELECT run, count(*), count(DISTINCT item), count(DISTINCT CASE WHEN key IS NOT NULL THEN item END), count(DISTINCT key)
FROM entry WHERE on_topic GROUP BY run
"""
