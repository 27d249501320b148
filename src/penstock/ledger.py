"""The account of one run, taken from the data itself: what stands in Kafka, and what of it stands in Cassandra.

An *item* is what the API handed over: a record, or what was rejected. A retry of the run publishes its items again,
so messages are counted apart and the equation counts items: fetched = stored + dead-lettered + in flight.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol, Self

from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_exponential

from penstock.broker import Broker, Offsets, Received
from penstock.config import Settings
from penstock.contract import Pipeline, Record
from penstock.errors import LedgerError
from penstock.record import Header, Rejected, from_bytes, write_time_ms
from penstock.store import Row, Store

log = logging.getLogger(__name__)

_AT_ONCE = 1_000
_EXAMPLES = 5


@dataclass(frozen=True)
class Account:
    """Where the items of one run are."""

    run: str
    acknowledged: int
    """Items on the topic; those that ingest rejected are not among them."""
    stored: int
    """Items whose row has their values, or newer ones."""
    dead_lettered: int
    """Items rejected, by ingest or by the stream."""
    in_flight: int
    """Items on the topic that are neither."""
    duplicates: int
    """Items on the topic that share their key, and so their row, with another item of the run."""
    repeated: int
    """Messages beyond the first one of an item: a retry of the run published it again."""

    @property
    def settled(self) -> int:
        """Items that arrived."""
        return self.stored + self.dead_lettered

    def balances(self, fetched: int) -> bool:
        """Whether every one of the `fetched` items arrived, and nothing else did."""
        return self.in_flight == 0 and fetched == self.settled

    def equation(self, fetched: int) -> str:
        """The account in one line; "≠" where it does not balance."""
        flying = f" + in flight {self.in_flight}" if self.in_flight else ""
        sign = "=" if fetched == self.settled + self.in_flight else "≠"
        return f"fetched {fetched} {sign} stored {self.stored} + dead-lettered {self.dead_lettered}{flying}"


class Topics(Protocol):
    """What the ledger needs of `Broker`."""

    def offsets(self, topic: str) -> dict[int, Offsets]: ...

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]: ...


class Rows(Protocol):
    """What the ledger needs of `Store`."""

    def rows(self, pipeline: Pipeline, ids: Iterable[Any]) -> Iterator[Row]: ...


def account(settings: Settings, pipeline: Pipeline, run_id: str) -> Account:
    """Where the items of the run are at this moment."""
    with _opened(settings, pipeline, run_id) as ledger:
        return ledger.refresh()


def wait_until_settled(
    settings: Settings,
    pipeline: Pipeline,
    run_id: str,
    limit_s: float,
    on_progress: Callable[[Account], None] = lambda _: None,
) -> Account:
    """The account as soon as nothing is in flight; `on_progress` gets each one on the way.

    Raises:
        LedgerError: something still is after `limit_s`; names some of it.
    """
    with _opened(settings, pipeline, run_id) as ledger:

        def look() -> Account:
            seen = ledger.refresh()
            on_progress(seen)
            return seen

        def give_up(_: RetryCallState) -> Account:
            raise LedgerError(
                f"run {run_id}: neither stored nor dead-lettered after {limit_s:.0f} s: {ledger.in_flight_examples()}. "
                "Does the stream run (`penstock status`, `penstock logs stream`)? What is in Kafka is not lost."
            )

        settled: Account = Retrying(
            retry=retry_if_result(lambda seen: seen.in_flight > 0),
            stop=stop_after_delay(limit_s),
            wait=wait_exponential(multiplier=0.1, max=2),
            retry_error_callback=give_up,
        )(look)
        return settled


def newest(settings: Settings, pipeline: Pipeline, count: int) -> list[Mapping[str, Any]]:
    """Up to `count` rows of the table, those of the newest messages first; Cassandra itself keeps no such order."""
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store:
        # More than asked for: some may hold no record, and some the same one.
        read = [from_bytes(pipeline, message.value) for message in broker.tail(pipeline.topic, 4 * count)]
        ids = list(dict.fromkeys(getattr(record, pipeline.key) for record in read if not isinstance(record, Rejected)))
        rows = {row.values[pipeline.key]: row.values for row in store.rows(pipeline, ids)}
    return [rows[key] for key in ids if key in rows][:count]


class Ledger:
    """Follows one run: each `refresh` reads only what is new, and looks up only what was in flight.

    What it knows of the messages is kept in a temporary SQLite file, so memory does not grow with them.
    """

    def __init__(self, pipeline: Pipeline, run_id: str, broker: Topics, store: Rows) -> None:
        self._pipeline = pipeline
        self._run_id = run_id
        self._broker = broker
        self._store = store
        self._read_to: dict[str, dict[int, int]] = {}
        self._book = sqlite3.connect("")  # a temporary file of SQLite's own
        self._book.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._book.close()

    def refresh(self) -> Account:
        """The account of this moment."""
        self._enter(_ENTER_MESSAGE, (self._message(m) for m in self._new(self._pipeline.topic)))
        written = self._new(self._pipeline.dead_letter_topic)
        for letters in _batches(m for m in written if Header.RESOLVED not in m.headers):
            self._enter(_ENTER_REJECTED, (_rejected(m) for m in letters if Header.ORIGIN_URL in m.headers))
            self._enter(_ENTER_LETTER, ((_key(m),) for m in letters if Header.ORIGIN_URL not in m.headers))
        self._book.execute(_SETTLE_LETTERS)
        for flying in self._in_flight():
            self._settle_stored(flying)
        return self._account()

    def in_flight_examples(self) -> str:
        """Some of what is in flight, for people."""
        found = self._book.execute(
            "SELECT coalesce(key, 'no record'), origin, why FROM entry WHERE state = 0 LIMIT ?", (_EXAMPLES,)
        )
        return "; ".join(f"{key} at {origin} ({why})" for key, origin, why in found)

    def _new(self, topic: str) -> Iterator[Received]:
        """The run's messages in the topic that were not read before."""
        end = {number: span.end for number, span in self._broker.offsets(topic).items()}
        for message in self._broker.read(topic, start=self._read_to.get(topic), end=end):
            if message.headers.get(Header.RUN) == self._run_id:
                yield message
        self._read_to[topic] = end

    def _enter(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        with self._book:
            self._book.executemany(statement, values)

    def _message(self, message: Received) -> tuple[Any, ...]:
        record = from_bytes(self._pipeline, message.value)
        item = message.headers.get(Header.ITEM, message.origin)
        if isinstance(record, Rejected):
            return (item, message.origin, None, None, message.timestamp_ms)
        at_ms = write_time_ms(message.headers, message.timestamp_ms)
        return (item, message.origin, str(getattr(record, self._pipeline.key)), message.value, at_ms)

    def _in_flight(self) -> Iterator[list[tuple[int, Record, int]]]:
        """(number of the entry, its record, time of its message), in batches."""
        last = 0
        while rows := self._book.execute(_IN_FLIGHT, (last, _AT_ONCE)).fetchall():
            read = [(number, from_bytes(self._pipeline, value), at_ms) for number, value, at_ms in rows]
            yield [(number, record, at_ms) for number, record, at_ms in read if not isinstance(record, Rejected)]
            last = rows[-1][0]

    def _settle_stored(self, flying: list[tuple[int, Record, int]]) -> None:
        pipeline = self._pipeline
        ids = {getattr(record, pipeline.key) for _, record, _ in flying}
        rows = {row.values[pipeline.key]: row for row in self._store.rows(pipeline, ids)}
        found = [
            (difference(pipeline, record, row, at_ms), number)
            for number, record, at_ms in flying
            if (row := rows.get(getattr(record, pipeline.key)))
        ]
        self._enter("UPDATE entry SET why = ? WHERE rowid = ?", (pair for pair in found if pair[0]))
        self._enter(_SETTLE_STORED, ((number,) for why, number in found if not why))

    def _account(self) -> Account:
        states = dict(self._book.execute(_COUNT_STATES).fetchall())
        messages, items, keyed, keys = self._book.execute(_COUNT_MESSAGES).fetchone()
        return Account(
            run=self._run_id,
            acknowledged=items,
            stored=states.get(2, 0),
            dead_lettered=states.get(1, 0),
            in_flight=states.get(0, 0),
            duplicates=keyed - keys,
            repeated=messages - items,
        )


@contextmanager
def _opened(settings: Settings, pipeline: Pipeline, run_id: str) -> Iterator[Ledger]:
    with (
        Broker(settings.kafka) as broker,
        Store(settings.cassandra) as store,
        Ledger(pipeline, run_id, broker, store) as ledger,
    ):
        yield ledger


def difference(pipeline: Pipeline, record: Record, row: Row, timestamp_ms: int) -> str:
    """Why the row does not show that the record was stored; empty when it does. Names columns, never their values.

    A cell of a later write time is a newer record's, which is as it should be. An absent field leaves its cell unset,
    so there an older value may stand, but none of this record's write time.
    """
    written_us = timestamp_ms * 1_000
    wrong = []
    for column in pipeline.columns:
        if column.name == pipeline.key:
            continue
        expected = getattr(record, column.name)
        cell_us = row.written_us.get(column.name, -1)
        if expected is None:
            if cell_us == written_us:
                wrong.append(f"{column.name} is not absent")
        elif cell_us < written_us:
            wrong.append(f"{column.name} is older")
        elif cell_us == written_us and not _is_same(expected, row.values[column.name]):
            wrong.append(f"{column.name} differs")
    return ", ".join(wrong)


def _is_same(expected: Any, found: Any) -> bool:
    if isinstance(expected, datetime):
        # Cassandra keeps milliseconds.
        return found is not None and abs(expected - found) < timedelta(milliseconds=1)
    return bool(expected == found)


def _rejected(letter: Received) -> tuple[str, str]:
    return (letter.headers.get(Header.ITEM, _key(letter)), _key(letter))


def _key(letter: Received) -> str:
    return (letter.key or b"").decode("utf-8", "backslashreplace")


def _batches(messages: Iterator[Received]) -> Iterator[list[Received]]:
    while batch := list(islice(messages, _AT_ONCE)):
        yield batch


# `state`: 0 in flight, 1 dead-lettered, 2 stored. `key` and `value` only where the message holds a record, the value
# only as long as it is needed. `why` is what a look-up found wrong. A letter may be read before its message.
_TABLES = """
CREATE TABLE entry (
    item TEXT NOT NULL, origin TEXT UNIQUE NOT NULL, on_topic INT NOT NULL, state INT NOT NULL DEFAULT 0,
    key TEXT, value BLOB, timestamp_ms INT, why TEXT NOT NULL DEFAULT 'no row'
);
CREATE TABLE letter (origin TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_ENTER_MESSAGE = "INSERT INTO entry (item, origin, on_topic, key, value, timestamp_ms) VALUES (?, ?, 1, ?, ?, ?)"
_ENTER_REJECTED = "INSERT OR IGNORE INTO entry (item, origin, on_topic, state) VALUES (?, ?, 0, 1)"
_ENTER_LETTER = "INSERT OR IGNORE INTO letter VALUES (?)"
_SETTLE_LETTERS = "UPDATE entry SET state = 1, value = NULL WHERE state = 0 AND origin IN (SELECT origin FROM letter)"
_SETTLE_STORED = "UPDATE entry SET state = 2, value = NULL WHERE rowid = ?"
_IN_FLIGHT = """
SELECT rowid, value, timestamp_ms FROM entry
WHERE state = 0 AND value IS NOT NULL AND rowid > ? ORDER BY rowid LIMIT ?
"""
_COUNT_STATES = """
SELECT state, count(*) FROM (SELECT max(state) AS state FROM entry GROUP BY item) GROUP BY state
"""
_COUNT_MESSAGES = """
SELECT count(*), count(DISTINCT item), count(DISTINCT CASE WHEN key IS NOT NULL THEN item END), count(DISTINCT key)
FROM entry WHERE on_topic
"""
