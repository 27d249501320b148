"""What a round publishes: people, who may leave, and hostile messages at a steady rate, and what becomes of each.

What must stand in the table is worked out here, by hand and from the people themselves: the code under test has no say.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import Any
from uuid import UUID

from penstock.config import Settings
from penstock.ingest import Run
from penstock.kafka import Broker, Message, Receipts
from penstock.pipelines.record import Reason
from penstock.simulator.people import Question, answer

PER_SECOND = 300
MANY = 8_000
"""From here on a tenth of that: a busy machine that takes minutes to recover shall not spend its rest on the checks."""
MALFORMED = 0.02
AGAIN = 0.05
"""Of the messages: a person who was published before, with other values, and a time before or after the first one."""
LEAVES = 0.3
"""Of those: the row goes, where the pipeline has deletions."""

_MILLISECOND = timedelta(milliseconds=1)
_PAGE = 500
_BURSTS_A_SECOND = 10

Row = dict[str, Any]


@dataclass
class Expected:
    """What must stand in the table and in the dead letters, and nothing else."""

    key: tuple[str, ...]
    cells: dict[Any, dict[str, tuple[int, Any]]] = field(default_factory=dict)
    """Key -> column -> (write time in microseconds, value) of the newest record, None where it has the column absent;
    without the key's. Empty where the row went, and is not there again."""
    gone_us: dict[Any, int] = field(default_factory=dict)
    """Key -> the newest write time of a deletion."""
    letters: dict[bytes, Reason] = field(default_factory=dict)
    first: list[tuple[int, Any]] = field(default_factory=list)
    """(number of the message that had it first, key), in that order; read by other threads while it grows."""
    messages: int = 0

    def add_row(self, row: Row, written_us: int) -> None:
        key = self.key_of(row)
        if key not in self.cells:
            self.first.append((self.messages, key))
        cells, gone_us = self.cells.setdefault(key, {}), self.gone_us.get(key, -1)
        for column, value in row.items():
            if column not in self.key and written_us > max(gone_us, cells.get(column, (-1, None))[0]):
                cells[column] = (written_us, value)

    def remove_row(self, row: Row, written_us: int) -> None:
        """What is newer than a deletion stays, whichever of them comes first; of one time, the deletion wins."""
        key = self.key_of(row)
        self.gone_us[key] = gone_us = max(written_us, self.gone_us.get(key, -1))
        newer = {column: cell for column, cell in self.cells.get(key, {}).items() if cell[0] > gone_us}
        self.cells[key] = newer

    def key_of(self, row: Row) -> Any:
        """As the account and the store know it: of one column its value, else a tuple."""
        values = tuple(row[name] for name in self.key)
        return values[0] if len(values) == 1 else values


def row_of(person: dict[str, Any]) -> Row:
    """The row that the API's answer for one person must become."""
    place = person["location"]
    street = f"{place['street']['number']} {place['street']['name']}"
    return {
        "id": UUID(person["login"]["uuid"]),
        "first_name": person["name"]["first"],
        "last_name": person["name"]["last"],
        "gender": person["gender"],
        "address": f"{street}, {place['city']}, {place['state']}, {place['country']}",
        "post_code": str(place["postcode"]),
        "email": person["email"],
        "username": person["login"]["username"],
        "registered_date": person["registered"]["date"],
        "phone": person["phone"],
        "picture": person["picture"]["medium"],
    }


def people(seed: str) -> Iterator[Row]:
    """Rows without end, the same for the same seed and no two of one id."""
    name = sha256(seed.encode()).hexdigest()[:16]
    page = 0
    while True:
        page += 1
        for person in answer(Question(name, page, _PAGE))["results"]:
            yield row_of(person)


def value_of(row: Row, *, compact: bool = True) -> bytes:
    """The row as a message's value; not `compact` is JSON that another producer would write."""
    present = {name: str(value) for name, value in row.items() if value is not None}
    if compact:
        return json.dumps(present, ensure_ascii=False, separators=(",", ":")).encode()
    return json.dumps(present, indent=1).encode()


_SPOILED: tuple[tuple[Reason, Callable[[bytes, Row], bytes]], ...] = (
    (Reason.MALFORMED_JSON, lambda value, _: value.decode()[: len(value) // 2].encode()),
    (Reason.MALFORMED_JSON, lambda value, _: value + b" and more"),
    (Reason.NOT_UTF8, lambda value, _: b"\xff\xfe" + value),
    (Reason.NOT_AN_OBJECT, lambda value, _: b"[" + value + b"]"),
    (Reason.WRONG_TYPE, lambda _, row: value_of(row).replace(b'"gender":"', b'"gender":7,"x":"')),
    (Reason.MISSING_FIELD, lambda _, row: value_of(row | {"email": None})),
    (Reason.UNKNOWN_FIELD, lambda value, _: value.replace(b"}", b',"dob":"1990-01-01"}')),
    (Reason.INVALID_VALUE, lambda value, row: value.replace(str(row["id"]).encode(), str(row["id"])[1:].encode())),
)


def messages(run: Run, seed: str, expected: Expected) -> Iterator[Message]:
    """Messages without end, entered into `expected` as they are taken; the same seed gives the same but for times."""
    chance = Random(seed)
    known: list[Row] = []
    base = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for number, person in enumerate(people(seed)):
        at = base + 2 * number * _MILLISECOND
        row = person | {"phone": None} if chance.random() < 0.1 else person
        if chance.random() < MALFORMED:
            reason, spoil = chance.choice(_SPOILED)
            value = spoil(value_of(row), row)
            expected.letters[value] = reason
        else:
            if known and chance.random() < AGAIN:
                row = chance.choice(known) | {"username": person["username"], "gender": None}
                at = chance.choice((at, base - (number + 1) * _MILLISECOND))
                if run.pipeline.deleted and chance.random() < LEAVES:
                    row |= {run.pipeline.deleted: at.isoformat()}
            else:
                known.append(row)
            value = value_of(row, compact=chance.random() < 0.9)
            change = expected.remove_row if run.pipeline.deleted in row else expected.add_row
            change(row, round(at.timestamp() * 1_000) * 1_000)
        expected.messages += 1
        key = str(row["id"]).encode() if chance.random() < 0.9 else None
        yield Message(run.pipeline.topic, key, value, run.headers, at)


class Load:
    """Publishes in the background while the block lasts; leaving it waits for the receipt of every message.

    Leaving raises what `Broker.publish` raised: then nobody knows what was acknowledged, and the round is void.
    """

    def __init__(self, settings: Settings, run: Run, seed: str) -> None:
        self.expected = Expected(run.pipeline.keys.names)
        self._settings = settings
        self._messages = messages(run, seed, self.expected)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._outcome: Receipts | Exception | None = None

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        if kind is None:  # else the round is void already, and the thread ends with the program
            self._thread.join()
            self.goes_on()

    def keys_since(self, mark: int) -> list[Any]:
        """Keys of the records that were first published as message number `mark` or later."""
        return [key for number, key in self.expected.first[:] if number >= mark]

    def goes_on(self) -> None:
        """Raises what ended the load, if anything did."""
        if isinstance(self._outcome, Exception):
            raise self._outcome

    def _publish(self) -> None:
        try:
            with Broker(self._settings.kafka) as broker:
                self._outcome = broker.publish(self._paced())
        except Exception as error:  # noqa: BLE001 - handed over to whoever leaves the block
            self._outcome = error

    def _paced(self) -> Iterator[Message]:
        began_s = time.monotonic()
        burst = 0
        while not self._stop.wait(max(0.0, began_s + burst / _BURSTS_A_SECOND - time.monotonic())):
            burst += 1
            slower = 10 if self.expected.messages > MANY else 1
            for _ in range(PER_SECOND // _BURSTS_A_SECOND // slower):
                yield next(self._messages)
