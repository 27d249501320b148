"""One reading of the dead-letter topic: each letter once, with what became of it.

What is kept of a letter is in a temporary SQLite file, and its bytes stay in Kafka until they are asked for, so memory
grows neither with the number of letters nor with their size.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from penstock.errors import LetterError
from penstock.kafka import Received, Topics
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import DISMISSAL, Header, letter_id, replayed_letter

SHORT = 12
"""Characters of an id that people are shown."""
_EXAMPLES = 5
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Letter:
    """One dead letter without its bytes. Texts are as the headers have them, whoever wrote those."""

    id: str
    reason: str
    message: str
    run: str
    """Empty where the message named none."""
    origin: str
    """`topic/partition/offset` of the message, or the request and the place in its answer (`url#index`)."""
    first_seen: str
    """ISO 8601; when the message was sent, or the API's answer came."""
    resolved_by: str | None
    """`topic/partition/offset` of the replay that was stored, or `dismissal` and why; None while the letter is open."""
    rejected_again: str | None
    """What was wrong with its last replay, if one was rejected."""

    @property
    def short(self) -> str:
        return self.id[:SHORT]

    @property
    def is_dismissed(self) -> bool:
        """Whether it was people who closed it; it is in no row then."""
        return (self.resolved_by or "").startswith(DISMISSAL)


@dataclass(frozen=True)
class Filter:
    """Selects letters. A field that is None or empty excludes none; `ids` are beginnings of ids."""

    reason: str | None = None
    run: str | None = None
    ids: tuple[str, ...] = ()
    resolved: bool = False
    """Also those that are resolved."""


@dataclass(frozen=True)
class Correction:
    """A letter's new value, as a person wrote it: the letter's id, or the beginning of it, and the value."""

    place: str
    """Where that stands, for people."""
    id: str
    value: bytes | None


Body = tuple[Letter, Received, bytes | None]
"""A letter, its message in the dead letters, and the value to go on with: the message's own, or a corrected one."""


class LetterIndex:
    """The letters of a pipeline up to the last `read`. A context manager: it ends with its temporary file."""

    def __init__(self, pipeline: Pipeline, broker: Topics) -> None:
        self._topic = pipeline.dead_letter_topic
        self._broker = broker
        self._database = sqlite3.connect("")  # a temporary file of SQLite's own
        self._database.executescript(_TABLES)
        self._next: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @property
    def messages(self) -> int:
        """How many messages `read` will read at most."""
        return sum(span.end - span.first for span in self._broker.offsets(self._topic).values())

    def read(self, on_progress: Callable[[int], None] = lambda _: None) -> Self:
        """Reads the topic from where the last call ended, at first the whole of it; `on_progress` gets the number of
        messages so far.
        """
        done, end = 0, {number: span.end for number, span in self._broker.offsets(self._topic).items()}
        if any(self._next.get(number, 0) > last for number, last in end.items()):  # the topic was made again
            self._database.executescript(_FORGET)
            self._next.clear()
        for done, message in enumerate(self._broker.read(self._topic, start=self._next, end=end), start=1):
            self._enter(message)
            if done % _AT_ONCE == 0:
                on_progress(done)
        # A replay that was rejected, of a letter that this topic never had, is a letter itself.
        self._database.execute(_ENTER_ORPHANS)
        self._next = end
        on_progress(done)
        return self

    def letters(self, choice: Filter | None = None, *, newest: int | None = None, skip: int = 0) -> Iterator[Letter]:
        """The chosen letters, the oldest first; with `newest` only so many, and the newest first, after `skip` others.

        Raises:
            LetterError: an id of the choice is nobody's, or several letters begin with it.
        """
        where, values = self._condition(choice or Filter())
        order = "number" if newest is None else "number DESC LIMIT ? OFFSET ?"
        limit = [] if newest is None else [newest, skip]
        return map(_letter, self._database.execute(f"{_LETTERS} WHERE {where} ORDER BY {order}", [*values, *limit]))

    def count(self, choice: Filter | None = None) -> int:
        """How many letters are chosen."""
        where, values = self._condition(choice or Filter())
        query = f"SELECT count(*) FROM ({_LETTERS} WHERE {where})"  # noqa: S608 - our own text, values are bound
        (count,) = self._database.execute(query, values).fetchone()
        return int(count)

    def by_reason(self, choice: Filter | None = None) -> dict[str, int]:
        """How many letters of each reason are chosen, the commonest first."""
        where, values = self._condition(choice or Filter())
        query = f"SELECT reason, count(*) FROM ({_LETTERS} WHERE {where}) GROUP BY reason ORDER BY 2 DESC"  # noqa: S608 - as above
        return dict(self._database.execute(query, values).fetchall())

    def find(self, beginning: str) -> Letter:
        """The one letter whose id begins so.

        Raises:
            LetterError: there is none, or there are several.
        """
        text = beginning.lower()
        # "g" comes after every digit of an id.
        span = (text, f"{text}g", _EXAMPLES + 1)
        rows = self._database.execute(f"{_LETTERS} WHERE letter.id BETWEEN ? AND ? ORDER BY letter.id LIMIT ?", span)
        found = [_letter(row) for row in rows]
        if not text or not found:
            raise LetterError(f"no dead letter of {self._topic} has an id that begins with {beginning!r}.{_LOOK}")
        if len(found) > 1:
            ids = ", ".join(letter.id[: max(SHORT, len(text) + 4)] for letter in found[:_EXAMPLES])
            more = " and more" if len(found) > _EXAMPLES else ""
            raise LetterError(f"{beginning!r} begins several ids: {ids}{more}. Give more characters.")
        return found[0]

    def bodies(self, choice: Filter | None = None) -> Iterator[Body]:
        """The chosen letters with their messages, read again from Kafka; in the order of the topic."""
        where, values = self._condition(choice or Filter())
        return ((letter, message, message.value) for letter, message in self._found(where, values))

    def corrected(self, corrections: Iterable[Correction]) -> Iterator[Body]:
        """The letters that were corrected, with their new values, in the topic's order.

        The first one comes when all corrections have been looked up.

        Raises:
            LetterError: one is of no letter, or two are of the same one.
        """
        for one in corrections:
            identity = self.find(one.id).id
            try:
                self._database.execute("INSERT INTO corrected VALUES (?, ?, ?)", (identity, one.place, one.value))
            except sqlite3.IntegrityError as error:
                (other,) = self._database.execute("SELECT place FROM corrected WHERE id = ?", (identity,)).fetchone()
                raise LetterError(
                    f"{other} and {one.place} are the same dead letter, {identity[:SHORT]}. Keep one of them: both "
                    "would have the same write time, and Cassandra would mix them."
                ) from error
        for letter, message in self._found("letter.id IN (SELECT id FROM corrected)", []):
            (value,) = self._database.execute("SELECT value FROM corrected WHERE id = ?", (letter.id,)).fetchone()
            yield letter, message, value

    def _found(self, where: str, values: list[Any]) -> Iterator[tuple[Letter, Received]]:
        query = f"{_LETTERS} WHERE {where} AND letter.at_partition = ? AND letter.at_offset = ?"
        for message in self._broker.read(self._topic, **self._spans(where, values)):
            row = self._database.execute(query, [*values, message.partition, message.offset]).fetchone()
            if row:
                yield _letter(row), message

    def _enter(self, message: Received) -> None:
        headers = message.headers
        if Header.RESOLVED in headers:
            by = ": ".join(filter(None, (headers[Header.RESOLVED], headers.get(Header.MESSAGE))))
            self._database.execute("INSERT OR REPLACE INTO resolved VALUES (?, ?)", (message.key_text, by))
            return
        replayed = replayed_letter(headers)
        values = (
            replayed or letter_id(message.key, message.value),
            *_texts(message),
            message.partition,
            message.offset,
        )
        self._database.execute(_ENTER_AGAIN if replayed else _ENTER_LETTER, values)

    def _spans(self, where: str, values: list[Any]) -> dict[str, dict[int, int]]:
        """First and last offset of the chosen letters' messages in each partition, for `Broker.read`."""
        span = "at_partition, min(at_offset), max(at_offset) + 1"
        query = f"SELECT {span} FROM ({_LETTERS} WHERE {where}) GROUP BY at_partition"  # noqa: S608 - as above
        rows = self._database.execute(query, values).fetchall()
        return {
            "start": {partition: first for partition, first, _ in rows},
            "end": {partition: end for partition, _, end in rows},
        }

    def _condition(self, choice: Filter) -> tuple[str, list[Any]]:
        ids = [self.find(beginning).id for beginning in choice.ids]
        parts: list[tuple[str, list[Any]]] = [
            *([("letter.reason = ?", [choice.reason])] if choice.reason else []),
            *([("letter.run = ?", [choice.run])] if choice.run else []),
            *([(f"letter.id IN ({', '.join('?' * len(ids))})", ids)] if ids else []),
            *([("resolved_by IS NULL", [])] if not choice.resolved else []),
        ]
        return " AND ".join(["1", *(text for text, _ in parts)]), [value for _, values in parts for value in values]


def _texts(message: Received) -> tuple[str, ...]:
    """What a letter says of itself: reason, message, run, origin, when it was first seen."""
    headers = message.headers
    key = message.key_text or message.origin
    url = headers.get(Header.ORIGIN_URL)
    return (
        headers.get(Header.REASON, "unknown"),
        headers.get(Header.MESSAGE, ""),
        headers.get(Header.RUN, ""),
        f"{url}#{headers.get(Header.ORIGIN_INDEX, '?')}" if url else key,
        headers.get(Header.FIRST_SEEN) or message.timestamp.isoformat(),
    )


def _letter(row: tuple[Any, ...]) -> Letter:
    *texts, _partition, _offset, _number = row
    return Letter(*texts)


_LOOK = " See `penstock dead-letters list --all`."
# `number` keeps the order in which letters were first read. Written again, a letter is what it was written last.
_TABLES = """
CREATE TABLE letter (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, reason TEXT, message TEXT, run TEXT, origin TEXT,
    first_seen TEXT, at_partition INT, at_offset INT
);
CREATE INDEX letter_at ON letter (at_partition, at_offset);
CREATE TABLE again (
    id TEXT PRIMARY KEY, reason TEXT, message TEXT, run TEXT, origin TEXT, first_seen TEXT, at_partition INT,
    at_offset INT
);
CREATE TABLE corrected (id TEXT PRIMARY KEY, place TEXT NOT NULL, value BLOB);
CREATE TABLE resolved (id TEXT PRIMARY KEY, resolved_by TEXT NOT NULL) WITHOUT ROWID;
"""
_FORGET = "DELETE FROM letter; DELETE FROM again; DELETE FROM corrected; DELETE FROM resolved;"
_ENTER_LETTER = """
INSERT INTO letter (id, reason, message, run, origin, first_seen, at_partition, at_offset)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
reason = excluded.reason, message = excluded.message, at_partition = excluded.at_partition,
at_offset = excluded.at_offset
"""
_ENTER_AGAIN = "INSERT OR REPLACE INTO again VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_ENTER_ORPHANS = """
INSERT INTO letter (id, reason, message, run, origin, first_seen, at_partition, at_offset)
SELECT * FROM again WHERE id NOT IN (SELECT id FROM letter)
"""
_LETTERS = """
SELECT letter.id, letter.reason, letter.message, letter.run, letter.origin, letter.first_seen, resolved.resolved_by,
again.reason || ': ' || again.message AS rejected_again, letter.at_partition, letter.at_offset, letter.number
FROM letter LEFT JOIN resolved ON resolved.id = letter.id LEFT JOIN again ON again.id = letter.id
"""
