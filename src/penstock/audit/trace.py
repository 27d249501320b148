"""Where one record is: its messages with the run that fetched it, its row with its write times, its dead letters.

Kafka keeps no index of keys or values: the whole topic and all dead letters are read. Memory does not grow with them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Any, TypeVar

from penstock.audit.letters import Filter, Letter, LetterIndex
from penstock.cassandra import Counts, Property, Row, Store, properties
from penstock.config import Settings
from penstock.errors import TraceError
from penstock.kafka import Broker, Received
from penstock.kafka.messages import moment
from penstock.pipelines.contract import Pipeline, Record
from penstock.pipelines.identity import is_deleted, key_of, key_text, read_key
from penstock.pipelines.record import Header, Rejected, replayed_letter, write_time_ms

KEPT = 1_000
"""Messages, and letters, of one trace: a record may have been sent ever so often. The newest ones are kept, and the
trace says how many older ones there are."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Occurrence:
    """One message of the record. Times are aware."""

    partition: int
    offset: int
    sent: datetime
    run: str
    """Which run fetched it; empty where the message names none."""
    item: str
    """Page and place of the API's answer (`page/index`)."""
    key: str
    """The record's key; empty where the value is no record."""
    problem: str
    """Why the value is no record."""
    write_time: datetime
    replays: str | None
    """Identity of the dead letter that it replays."""
    batch: int | None
    """The batch that took it, a micro-batch or an epoch; None where that is not known, or not any more."""
    absent: tuple[str, ...] = ()
    """Columns that it has no value for."""
    deletes: bool = False
    """It says that its row is to be removed."""


@dataclass(frozen=True)
class Trace:
    """The result of a search for one record, and how much was searched."""

    wanted: str
    messages: tuple[Occurrence, ...]
    """The newest last."""
    rows: tuple[Row, ...]
    letters: tuple[Letter, ...]
    searched: str
    older_messages: int = 0
    """Found, and left out: those of `messages` are newer."""
    older_letters: int = 0
    """The same for `letters`."""
    properties: tuple[Property, ...] = ()
    """What the table itself does to its rows."""
    expired: bool = False
    """There is no row, and the table's default_time_to_live is over for all of the messages: it expired, if it was ever
    stored."""


def trace(
    settings: Settings,
    pipeline: Pipeline,
    wanted: str,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Trace:
    """Everything of the records whose key is `wanted`, or of which a column of the key or a text is, in whatever case.

    A key of several columns is a JSON list of texts, as it is shown.

    What is no record counts where it mentions `wanted`. The table is searched by key: of a record that the topic no
    longer has, only its key finds the row.

    Raises:
        TraceError: there is nothing of it; says what was searched.
    """
    key = read_key(pipeline, wanted)
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store, LetterIndex(pipeline, broker) as index:
        counts = Counts(store, pipeline)
        counts.ensure()
        search = _Search(pipeline, broker, counts, on_progress)
        texts = {wanted if key is None else key_text(key)}
        messages, older_messages = search.messages(texts)
        keys = {message.key for message in messages if message.key}
        if keys - texts:  # found by another column than the key: such a record may have other messages, too
            messages, older_messages = search.messages(texts | keys)
        ids = [found for text in sorted(keys | texts) if (found := read_key(pipeline, text)) is not None]
        # Before a stream ever ran there is no table.
        rows = tuple(store.rows(pipeline, ids)) if store.has_table(pipeline.keyspace, pipeline.table) else ()
        found = properties(store, pipeline, timedelta(hours=settings.kafka.retention_hours))
        position = counts.position(broker.identity(pipeline.topic))
        expired = not rows and have_expired(messages, position, store.expired_ms(pipeline))
        letters, older_letters = search.letters(index.read(), texts | keys, messages)
        searched = f"{search.read} messages of {pipeline.topic}, {index.count(Filter(resolved=True))} dead letters" + (
            f" and, by key, {pipeline.keyspace}.{pipeline.table}" if ids else ""
        )
    if not (messages or rows or letters):
        raise TraceError(
            f"nothing is known of {wanted!r}; searched: {searched}. A topic forgets (kafka.retention_hours), and the "
            f"table can be searched by its whole key only: {', '.join(pipeline.keys.names)}."
        )
    return Trace(
        wanted, messages, rows, letters, searched, older_messages, older_letters, tuple(found), expired=expired
    )


class _Search:
    """Reads topics for texts; compares without regard to case."""

    def __init__(self, pipeline: Pipeline, broker: Broker, counts: Counts, on_progress: Callable[[int], None]) -> None:
        self._pipeline = pipeline
        self._broker = broker
        self._counts = counts
        self._on_progress = on_progress
        self.read = 0
        """Messages of the topic."""

    def messages(self, texts: Iterable[str]) -> tuple[tuple[Occurrence, ...], int]:
        """The messages of these texts, and how many older ones there are."""
        return newest(self._occurrences(set(texts)), lambda occurrence: (occurrence.sent, occurrence.offset))

    def letters(
        self, index: LetterIndex, texts: Iterable[str], messages: Iterable[Occurrence]
    ) -> tuple[tuple[Letter, ...], int]:
        """The letters of these messages, and those that mention the texts; and how many older ones there are."""
        pattern = mentioning(texts)
        topic, occurrences = self._pipeline.topic, list(messages)
        origins = {f"{topic}/{message.partition}/{message.offset}" for message in occurrences}
        replayed = {message.replays for message in occurrences}
        found = (
            (message.timestamp_ms, message.offset, letter)
            for letter, message, _ in index.bodies(Filter(resolved=True))
            if letter.origin in origins or letter.id in replayed or pattern.search(readable(message.value))
        )
        kept, older = newest(found, lambda one: one[:2])
        return tuple(letter for *_, letter in kept), older

    def _occurrences(self, texts: set[str]) -> Iterator[Occurrence]:
        pattern = mentioning(texts)
        # A key of several columns does not stand in a message as people write it: each record says what its key is.
        several = len(self._pipeline.keys.names) > 1 and any(read_key(self._pipeline, text) for text in texts)
        self.read = 0
        for message in self._broker.read(self._pipeline.topic):
            self.read += 1
            if self.read % KEPT == 0:
                self._on_progress(self.read)
            is_mentioned = any(pattern.search(readable(each)) for each in (message.value, message.key))
            if is_mentioned or several:
                occurrence = self._occurrence(message, pattern, is_mentioned)
                if occurrence:
                    yield occurrence
        self._on_progress(self.read)

    def _occurrence(self, message: Received, pattern: re.Pattern[str], is_mentioned: bool) -> Occurrence | None:
        """What the message says of itself; None where it only mentions the texts in passing, within other values."""
        record = message.judged(self._pipeline)
        absent: tuple[str, ...] = ()
        deletes = False
        if isinstance(record, Rejected) and is_mentioned:
            key, problem = "", f"{record.reason}: {record.message}"
        elif not isinstance(record, Rejected) and any(pattern.fullmatch(text) for text in self._texts(record)):
            key, problem = key_text(key_of(self._pipeline, record)), ""
            deletes = is_deleted(self._pipeline, record)
            absent = tuple(column.name for column in self._pipeline.columns if getattr(record, column.name) is None)
        else:
            return None
        return Occurrence(
            partition=message.partition,
            offset=message.offset,
            sent=message.timestamp,
            run=message.headers.get(Header.RUN, ""),
            item=message.headers.get(Header.ITEM, ""),
            key=key,
            problem=problem,
            write_time=moment(write_time_ms(message.headers, message.timestamp_ms)),
            replays=replayed_letter(message.headers),
            batch=self._counts.batch_of(message.partition, message.offset),
            absent=absent,
            deletes=deletes,
        )

    def _texts(self, record: Record) -> list[str]:
        """What one may ask for: the key, each of its columns, and every text."""
        names = self._pipeline.keys.names
        columns = (column for column in self._pipeline.columns if column.name in names or column.python is str)
        return [key_text(key_of(self._pipeline, record)), *(str(getattr(record, column.name)) for column in columns)]


def have_expired(messages: Iterable[Occurrence], position: Mapping[int, int], expired_ms: int | None) -> bool:
    """Whether the stream has passed all the records, and what was written at their write times has expired."""
    records = [message for message in messages if message.key]
    if expired_ms is None:
        return False
    until = moment(expired_ms)
    return bool(records) and all(
        message.offset <= position.get(message.partition, -1) and message.write_time <= until for message in records
    )


def newest(items: Iterable[Item], age: Callable[[Item], Any]) -> tuple[tuple[Item, ...], int]:
    """The `KEPT` newest items, the newest last, and how many older ones there were."""
    count = 0

    def counted() -> Iterator[Item]:
        nonlocal count
        for item in items:
            count += 1
            yield item

    kept = nlargest(KEPT, counted(), key=age)
    return tuple(reversed(kept)), count - len(kept)


def written(row: Row) -> dict[datetime, list[str]]:
    """Write time -> the columns that have it, the oldest first."""
    times: dict[int, list[str]] = {}
    for column, at_us in row.written_us.items():
        times.setdefault(at_us, []).append(column)
    return {moment(at_us, timedelta(microseconds=1)): times[at_us] for at_us in sorted(times)}


def mentioning(texts: Iterable[str]) -> re.Pattern[str]:
    """Finds one of the texts where it is not part of a longer word: a@b.example is not in aa@b.example."""
    return re.compile(rf"(?<![\w.+-])(?:{'|'.join(map(re.escape, sorted(texts)))})(?![\w-])", re.IGNORECASE)


def readable(value: bytes | None) -> str:
    """A value as text, whatever it is, with JSON's escapes of single letters undone."""
    text = (value or b"").decode("utf-8", "replace")
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "\\u" in text else text


_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
