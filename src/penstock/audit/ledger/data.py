"""The account taken from the data: every message in Kafka is compared with its row in Cassandra, value by value."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, Self

from penstock.audit.ledger.account import Account
from penstock.audit.ledger.difference import difference
from penstock.cassandra import Row
from penstock.kafka import Received, Topics
from penstock.pipelines.contract import Pipeline, Record
from penstock.pipelines.identity import is_deleted, key_of, key_of_row, key_text
from penstock.pipelines.record import Header, Rejected, from_bytes, replayed_letter, write_time_ms

_AT_ONCE = 1_000
_EXAMPLES = 5


class Rows(Protocol):
    """The part of a `Store` that the ledger needs."""

    def rows(self, pipeline: Pipeline, ids: Iterable[Any]) -> Iterator[Row]: ...

    def expired_ms(self, pipeline: Pipeline) -> int | None: ...


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
        self._expired_ms: int | None = None
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
        return _told(self._book.execute(_FLYING_EXAMPLES, (self._run_id, _EXAMPLES)))

    def lost_examples(self, run_id: str) -> str:
        """Some of what the run's last account calls lost, for people."""
        return _told(self._book.execute(_LOST_EXAMPLES, (run_id, self._expired_ms, _EXAMPLES)))

    def changed_elsewhere(self) -> dict[str, tuple[int, str]]:
        """Run -> how many of its rows have a value that is newer than every message of their key, and some of them.

        Another program wrote those, or a message that Kafka has deleted since. The topic is read again only where a row
        looks like that: as far as the account did not read it, or not of other runs.
        """
        with self._book:
            self._book.execute(_EXPLAIN_BY_ENTRIES)
        if not self._book.execute("SELECT 1 FROM cell LIMIT 1").fetchone():
            return {}
        topic = self._pipeline.topic
        start = self._read_to.get(topic) if self._run_id is None else None
        # To its end: a row that was looked up a moment ago may be of a message that the account had not read.
        for messages in _batches(self._broker.read(topic, start=start)):
            self._enter(_EXPLAIN, filter(None, map(self._key_and_time, messages)))
        return {
            run: (count, _some_cells(self._book.execute(_CHANGED_EXAMPLES, (run, _EXAMPLES))))
            for run, count in self._book.execute(_COUNT_CHANGED).fetchall()
        }

    def _read_letters(self) -> None:
        for letters in _batches(self._new(self._pipeline.dead_letter_topic, lambda: None)):
            # A resolution is no letter: what it resolved is counted where it stands.
            real = [letter for letter in letters if Header.RESOLVED not in letter.headers]
            self._enter(_ENTER_REJECTED, (_rejected(m) for m in real if Header.ORIGIN_URL in m.headers))
            self._enter(_ENTER_LETTER, ((m.key_text,) for m in real if Header.ORIGIN_URL not in m.headers))
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
        """The run's messages that were not read before, and deletions of other runs, which may remove its rows."""
        end = {number: span.end for number, span in self._broker.offsets(topic).items()}
        for message in self._broker.read(topic, start=self._read_to.get(topic), end=end):
            count()
            if self._is_wanted(message.headers.get(Header.RUN, "")) or self._deletes(message):
                yield message
        self._read_to[topic] = end

    def _is_wanted(self, run: str) -> bool:
        return self._run_id in (None, run)

    def _deletes(self, message: Received) -> bool:
        if not self._pipeline.deleted or message.topic != self._pipeline.topic:
            return False
        record = message.judged(self._pipeline)
        return not isinstance(record, Rejected) and is_deleted(self._pipeline, record)

    def _count_read(self) -> None:
        self._read += 1
        if self._read % _AT_ONCE == 0:
            self._on_progress(self._read)

    def _enter(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        with self._book:
            self._book.executemany(statement, values)

    def _message(self, message: Received) -> tuple[Any, ...]:
        headers = message.headers
        record = message.judged(self._pipeline)
        # A replay is no item of its own, nor one that a retry published again.
        new = replayed_letter(headers) is None
        place = (headers.get(Header.RUN, ""), headers.get(Header.ITEM, message.origin), message.origin)
        at = (message.partition, message.offset, new)
        if isinstance(record, Rejected):
            return (*place, *at, None, None, 0, 0)
        key = key_text(key_of(self._pipeline, record))
        written_ms = write_time_ms(headers, message.timestamp_ms)
        return (*place, *at, key, message.value, written_ms, is_deleted(self._pipeline, record))

    def _key_and_time(self, message: Received) -> tuple[str, int] | None:
        *_, key, _value, written_ms, _deletes = self._message(message)
        return None if key is None else (key, written_ms)

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
        newer = (_newest_cell(pipeline, record, rows, at_ms) for _, record, at_ms in flying)
        self._enter(_ENTER_CELL, (cell for cell in newer if cell))
        self._enter(_DIFFERS, ((*each, number) for each, number in found if each.why))
        self._enter(_SETTLE_STORED, ((number,) for each, number in found if not each.why))

    def _accounts(self) -> dict[str, Account]:
        # Asked after the rows were looked up: what was missing then had expired by now, if this says that it had.
        self._expired_ms = self._store.expired_ms(self._pipeline)
        items = {row[0]: row[1:] for row in self._book.execute(_COUNT_ITEMS, (self._expired_ms,))}
        messages = {row[0]: row[1:] for row in self._book.execute(_COUNT_MESSAGES)}
        found = {}
        for run in filter(self._is_wanted, items):
            in_flight, dead_lettered, stored, lost, past_ttl = items[run]
            sent, on_topic, keyed, keys = messages.get(run, (0, 0, 0, 0))
            counted = (on_topic, stored, dead_lettered, in_flight, keyed - keys, sent - on_topic)
            found[run] = Account(run, *counted, lost=lost, past_ttl=past_ttl)
        return found


def _rejected(letter: Received) -> tuple[str, str, str]:
    return (letter.headers.get(Header.RUN, ""), letter.headers.get(Header.ITEM, letter.key_text), letter.key_text)


def _newest_cell(
    pipeline: Pipeline, record: Record, rows: Mapping[Any, Row], at_ms: int
) -> tuple[str, int, str] | None:
    """(key, write time, columns) of the row's newest values, if they are newer than the record."""
    key = key_of(pipeline, record)
    written_us = rows[key].written_us if key in rows else {}
    newest_us = max(written_us.values(), default=at_ms * 1_000)
    if newest_us <= at_ms * 1_000:
        return None
    return (
        key_text(key),
        newest_us,
        ", ".join(sorted(name for name, at_us in written_us.items() if at_us == newest_us)),
    )


def _some_cells(found: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{key} ({names})" for key, names in found)


def _told(found: Iterable[tuple[str | None, str, str]]) -> str:
    return "; ".join(f"{'no record' if key is None else key} at {origin} ({why})" for key, origin, why in found)


def _batches(messages: Iterator[Received]) -> Iterator[list[Received]]:
    while batch := list(islice(messages, _AT_ONCE)):
        yield batch


# `state`: 0 in flight, 1 dead-lettered, 2 stored. `key` and `value` only where the message holds a record, the value
# only as long as it is needed. `why` is what a look-up found wrong, `unset` whether that is only what is not there:
# such a record may have been stored, and replaced by a newer one or expired since. `on_topic` is false for what ingest
# rejected, which has no partition, and for replays. `awaits`: what is not there may have been removed by a deletion
# that is in flight. A letter may be read before its message. `cell` has the newest values of rows, as long as no
# message is known that wrote them.
_TABLES = """
CREATE TABLE entry (
    run TEXT NOT NULL, item TEXT NOT NULL, origin TEXT UNIQUE NOT NULL, partition INT, offset INT,
    on_topic INT NOT NULL, state INT NOT NULL DEFAULT 0,
    key TEXT, value BLOB, written_ms INT, deletes INT NOT NULL DEFAULT 0, awaits INT NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT 'no row', unset INT NOT NULL DEFAULT 1
);
CREATE INDEX flying ON entry (state) WHERE state = 0;
CREATE TABLE letter (origin TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE cell (key TEXT PRIMARY KEY, written_us INT NOT NULL, names TEXT NOT NULL) WITHOUT ROWID;
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
UPDATE entry SET awaits = key IS NOT NULL AND unset AND key IN (
    SELECT key FROM entry LEFT JOIN position USING (partition)
    WHERE state = 0 AND deletes AND coalesce(offset > last, 1)
) WHERE state = 0
"""
# In the order of the topic, so that of two accounts at one moment both name the same ones.
_FLYING_EXAMPLES = """
SELECT key, origin, why FROM entry WHERE state = 0 AND run = coalesce(?, run) ORDER BY partition, offset LIMIT ?
"""
_LOST_EXAMPLES = """
SELECT key, origin, why FROM entry JOIN position USING (partition)
WHERE state = 0 AND run = ? AND offset <= last AND NOT awaits AND NOT (unset AND coalesce(written_ms <= ?, 0))
ORDER BY partition, offset LIMIT ?
"""
# A retry may have fetched another record for an item. Each message is a record of its own that has to arrive: an item
# is in flight, or lost, where one of its messages is. What a replay in flight replays is still a letter.
_COUNT_ITEMS = """
SELECT run, sum(flying), sum(NOT flying AND state = 1), sum(NOT flying AND state = 2), sum(lost),
    sum(NOT flying AND state = 0)
FROM (
    SELECT run, max(state) AS state, max(missing AND passed) AS lost,
        max(missing AND (on_topic OR passed)) OR (max(state) = 0 AND max(missing)) AS flying
    FROM (
        SELECT run, item, state, on_topic, passed,
            state = 0 AND NOT (passed AND unset AND coalesce(written_ms <= ?, 0)) AS missing
        FROM (
            SELECT *, coalesce(offset <= last, 0) AND NOT awaits AS passed
            FROM entry LEFT JOIN position USING (partition)
        )
    ) GROUP BY run, item
) GROUP BY run
"""
_COUNT_MESSAGES = """
SELECT run, count(*), count(DISTINCT item), count(DISTINCT CASE WHEN key IS NOT NULL THEN item || char(0) || key END),
    count(DISTINCT key)
FROM entry WHERE on_topic GROUP BY run
"""
_ENTER_CELL = "INSERT OR REPLACE INTO cell VALUES (?, ?, ?)"
_EXPLAIN = "DELETE FROM cell WHERE key = ? AND written_us <= 1000 * ?"
_EXPLAIN_BY_ENTRIES = """
DELETE FROM cell WHERE key IN (
    SELECT key FROM entry JOIN cell USING (key) WHERE cell.written_us <= 1000 * entry.written_ms
)
"""
_COUNT_CHANGED = "SELECT run, count(DISTINCT key) FROM entry JOIN cell USING (key) GROUP BY run"
_CHANGED_EXAMPLES = """
SELECT key, names FROM entry JOIN cell USING (key) WHERE run = ? GROUP BY key ORDER BY key LIMIT ?
"""
