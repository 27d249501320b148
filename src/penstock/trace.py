"""Where one record is: its messages with the run that fetched it, its row with its write times, its dead letters.

Kafka keeps no index of keys or values: the whole topic and all dead letters are read. Memory does not grow with them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Any, TypeVar
from uuid import UUID

from penstock.broker import Broker, Received
from penstock.broker.messages import moment
from penstock.config import Settings
from penstock.contract import Pipeline, Record
from penstock.errors import TraceError
from penstock.letters import Book, Choice, Letter
from penstock.record import Header, Rejected, replayed_letter, write_time_ms
from penstock.store import Counts, Property, Row, Store, properties

KEPT = 1_000
"""Messages, and letters, of one trace: a record may have been sent ever so often. The newest ones are kept, and the
trace says how many older ones there are."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Sighting:
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
    """The micro-batch that took it; None where that is not known, or not any more."""
    absent: tuple[str, ...] = ()
    """Columns that it has no value for."""


@dataclass(frozen=True)
class Trace:
    """What was found, and how much was searched for it."""

    wanted: str
    messages: tuple[Sighting, ...]
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
    """Everything of the records whose key is `wanted`, or of which a text column is, in whatever case.

    What is no record counts where it mentions `wanted`. The table is searched by key: of a record that the topic no
    longer has, only its key finds the row.

    Raises:
        TraceError: there is nothing of it; says what was searched.
    """
    key = _key(pipeline, wanted)
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store, Book(pipeline, broker) as book:
        counts = Counts(store, pipeline)
        counts.ensure()
        search = _Search(pipeline, broker, counts, on_progress)
        texts = {wanted if key is None else str(key)}
        messages, older_messages = search.messages(texts)
        keys = {message.key for message in messages if message.key}
        if keys - texts:  # found by another column than the key: such a record may have other messages, too
            messages, older_messages = search.messages(texts | keys)
        ids = [found for text in sorted(keys | texts) if (found := _key(pipeline, text)) is not None]
        # Before a stream ever ran there is no table.
        rows = tuple(store.rows(pipeline, ids)) if store.has_table(pipeline.keyspace, pipeline.table) else ()
        found = properties(store, pipeline, timedelta(hours=settings.kafka.retention_hours))
        position = counts.position(broker.identity(pipeline.topic))
        expired = not rows and have_expired(messages, position, store.expired_ms(pipeline))
        letters, older_letters = search.letters(book.read(), texts | keys, messages)
        searched = f"{search.read} messages of {pipeline.topic}, {book.count(Choice(resolved=True))} dead letters" + (
            f" and, by key, {pipeline.keyspace}.{pipeline.table}" if ids else ""
        )
    if not (messages or rows or letters):
        raise TraceError(
            f"nothing is known of {wanted!r}; searched: {searched}. A topic forgets (kafka.retention_hours), and the "
            f"table can be searched by {pipeline.key} only."
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

    def messages(self, texts: Iterable[str]) -> tuple[tuple[Sighting, ...], int]:
        """The messages of these texts, and how many older ones there are."""
        return newest(self._sightings(mentioning(texts)), lambda sighting: (sighting.sent, sighting.offset))

    def letters(self, book: Book, texts: Iterable[str], messages: Iterable[Sighting]) -> tuple[tuple[Letter, ...], int]:
        """The letters of these messages, and those that mention the texts; and how many older ones there are."""
        pattern = mentioning(texts)
        topic, sightings = self._pipeline.topic, list(messages)
        origins = {f"{topic}/{message.partition}/{message.offset}" for message in sightings}
        replayed = {message.replays for message in sightings}
        found = (
            (message.timestamp_ms, message.offset, letter)
            for letter, message, _ in book.bodies(Choice(resolved=True))
            if letter.origin in origins or letter.id in replayed or pattern.search(readable(message.value))
        )
        kept, older = newest(found, lambda one: one[:2])
        return tuple(letter for *_, letter in kept), older

    def _sightings(self, pattern: re.Pattern[str]) -> Iterator[Sighting]:
        self.read = 0
        for message in self._broker.read(self._pipeline.topic):
            self.read += 1
            if self.read % KEPT == 0:
                self._on_progress(self.read)
            if pattern.search(readable(message.value)) or pattern.search(readable(message.key)):
                sighting = self._sighting(message, pattern)
                if sighting:
                    yield sighting
        self._on_progress(self.read)

    def _sighting(self, message: Received, pattern: re.Pattern[str]) -> Sighting | None:
        """What the message says of itself; None where it only mentions the texts in passing, within other values."""
        record = message.judged(self._pipeline)
        absent: tuple[str, ...] = ()
        if isinstance(record, Rejected):
            key, problem = "", f"{record.reason}: {record.message}"
        elif any(pattern.fullmatch(text) for text in self._texts(record)):
            key, problem = str(getattr(record, self._pipeline.key)), ""
            absent = tuple(column.name for column in self._pipeline.columns if getattr(record, column.name) is None)
        else:
            return None
        return Sighting(
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
        )

    def _texts(self, record: Record) -> list[str]:
        """What one may ask for: the key, and every text."""
        columns = (
            column for column in self._pipeline.columns if column.name == self._pipeline.key or column.python is str
        )
        return [str(getattr(record, column.name)) for column in columns]


def have_expired(messages: Iterable[Sighting], position: Mapping[int, int], expired_ms: int | None) -> bool:
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


def _key(pipeline: Pipeline, text: str) -> Any:
    """The text as a value of the key's type; None where it is none."""
    [column] = (column for column in pipeline.columns if column.name == pipeline.key)
    readers: dict[type, Callable[[str], Any]] = {UUID: UUID, str: str, int: int, float: float}
    try:
        return readers[column.python](text)
    except (KeyError, ValueError):
        return None
