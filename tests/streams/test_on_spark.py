"""`reconcile --deep --on-spark` says what `reconcile --deep` says, of topics in which everything went wrong."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest

from penstock.cassandra import Batch, Counted, Counts, Flow, Report, Store, Tally
from penstock.config import Settings, child_environment
from penstock.errors import LedgerError
from penstock.kafka import Broker, Message
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import message_key
from penstock.pipelines.record import DISMISSAL, letter_id, to_bytes
from penstock.stream.epochs import prepare
from tests.quakes import QUAKES, Quake

GOOD, BAD, OTHER = "good", "bad", "another"
NOW = datetime.now(UTC).replace(microsecond=0)
EARLIER, EARLY = NOW - timedelta(hours=2), NOW - timedelta(hours=1)
BULK = 40
"""Records of each run with which nothing is wrong."""
ORIGINS = {"origin_url": "origin.url"}
ROOT = Path(__file__).parents[2]
DECLARED = "from tests.quakes import QUAKES\nOWN = QUAKES.model_copy(update={0!r})\n"


def quake(number: int, **other: object) -> Quake:
    """With a value of every type."""
    values: dict[str, object] = {
        "station": "berlin" if number % 2 else "علی",
        "day": date(2025, 3, 12),
        "time": datetime(2025, 3, 12, 14, 30, 0, 123_456, tzinfo=UTC) + timedelta(seconds=number),
        "id": UUID(int=number),
        "size": Decimal("4.50"),
        "felt": -number,
        "reports": 2**40 + number,
        "depth": 0.1 * number,
        "final": number % 3 == 0,
        "source": ip_address("2001:db8::1" if number % 2 else "10.0.0.1"),
        "wave": bytes([number % 256, 255]),
        "steps": ["b", "a", ""],
        "tags": {"x", "علی"},
        "labels": {"b": "1", "a": "2"},
        "shape": '{"a":[1]}',
    }
    return Quake.model_validate({**values, **other})


class Written:
    """Messages of the topic, and rows that a stream would have made of them, or not."""

    def __init__(self, pipeline: Pipeline, broker: Broker, store: Store) -> None:
        self._pipeline, self._broker, self._store = pipeline, broker, store
        self._items = count()
        self._numbers = count(1)

    def publish(self, value: bytes, key: bytes | None, sent: datetime, **headers: str) -> str:
        """Returns where it stands: as the only one at the moment, its partition is the one that grew."""
        topic = self._pipeline.topic
        before = self._broker.offsets(topic)
        self._broker.publish([Message(topic, key, value, _named(headers), sent)])
        after = self._broker.offsets(topic)
        [number] = [each for each, span in after.items() if span.end != before[each].end]
        return f"{topic}/{number}/{after[number].end - 1}"

    def send(self, quake: Quake, run: str = BAD, sent: datetime = EARLY, item: str = "", **headers: str) -> str:
        return self.publish(
            to_bytes(quake), message_key(self._pipeline, quake), sent, run=run, item=item or self.item(), **headers
        )

    def item(self) -> str:
        return f"1/{next(self._items)}"

    def new(self, **other: object) -> Quake:
        return quake(next(self._numbers), **other)

    def store(self, quake: Quake, written: datetime = EARLY) -> None:
        """As the stream does it: what is absent is cleared, or left."""
        values = {column.name: getattr(quake, column.name) for column in self._pipeline.columns}
        if self._pipeline.absent == "keep":
            values = {name: value for name, value in values.items() if value is not None}
        self.write(values, written)

    def write(self, values: dict[str, object], written: datetime) -> None:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        table = f"{self._pipeline.keyspace}.{self._pipeline.table}"
        cql = f"INSERT INTO {table} ({names}) VALUES ({marks}) USING TIMESTAMP ?"  # noqa: S608 - names of the declaration
        said = (str(value) if name == "source" and value else value for name, value in values.items())
        self._store.execute(cql, (*said, round(written.timestamp() * 1_000_000)))

    def change(self, quake: Quake, written: datetime, **values: object) -> None:
        key = {name: getattr(quake, name) for name in self._pipeline.keys.names}
        self.write({**key, **values}, written)

    def letter(self, key: str, value: bytes = b"", **headers: str) -> None:
        self._broker.publish([Message(self._pipeline.dead_letter_topic, key.encode(), value, _named(headers), NOW)])


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {f"penstock.{ORIGINS.get(name, name.replace('_', '-'))}": text for name, text in headers.items()}


def well(on: Written, run: str) -> None:
    """All that happens where nothing goes wrong."""
    for _ in range(BULK):
        one = on.new()
        on.send(one, run)
        on.store(one)
    again, item = on.new(), on.item()
    for _ in range(2):  # a retry of the run
        on.send(again, run, item=item)
    on.store(again)
    changed = on.new()
    on.send(changed, run, EARLIER)
    on.send(newer := changed.model_copy(update={"felt": 7}), run)
    on.store(changed, EARLIER)
    on.store(newer)
    late = on.new()
    on.send(late, run, NOW)
    on.store(late, NOW)
    on.send(late.model_copy(update={"felt": 8}), OTHER, EARLIER)
    sparse = on.new(size=None, tags=None)
    on.send(sparse, run)
    on.store(sparse)
    rejected = on.publish(b"{", None, EARLY, run=run, item=(item := on.item()))
    on.letter(rejected, b"{", run=run, item=item)
    on.letter("url#1", b"{}", run=run, item=on.item(), origin_url="http://api/")


def badly(on: Written) -> None:
    """And where something does, all of one run; each with a key of its own."""
    on.send(on.new())  # never stored
    differs = on.new()
    on.send(differs)
    on.store(differs.model_copy(update={"size": Decimal("4.51")}))
    older = on.new()
    on.send(older, sent=NOW)
    on.store(older, EARLY)
    left = on.new(labels=None)
    on.store(left.model_copy(update={"labels": {"a": "1"}}), EARLIER)
    on.send(left)
    on.store(left)
    by_hand = on.new()
    on.send(by_hand)
    on.store(by_hand)
    on.change(by_hand, NOW, final=None, felt=99)
    cleared = on.new()
    on.send(cleared)
    on.store(cleared)
    on.change(cleared, NOW, felt=None)
    on.store(on.new())  # that nobody published


def with_deletions(on: Written) -> None:
    for stays, passed in ((False, True), (True, True), (False, False)):
        one = on.new()
        on.send(one, sent=EARLIER)
        on.send(one.model_copy(update={"gone": EARLY}), OTHER if passed else BAD)
        if stays:
            on.store(one, EARLIER)
    back = on.new()
    on.send(back.model_copy(update={"gone": EARLIER}), sent=EARLIER)
    on.send(back)
    on.store(back)


def with_letters(on: Written) -> None:
    """Also letters that no stream would write."""
    for stored in (True, False):
        good = on.new()
        origin = on.send(good)
        on.letter(origin, to_bytes(good), run=OTHER)
        if stored:
            on.store(good)
    replayed, item = on.new(), on.item()
    origin = on.publish(bad := b'{"station": 1}', None, EARLIER, run=BAD, item=item)
    on.letter(origin, bad, run=BAD, item=item)
    identity = letter_id(origin.encode(), bad)
    on.send(replayed, sent=NOW, item=item, replays=identity, write_time_ms=str(round(EARLIER.timestamp() * 1_000)))
    on.store(replayed, EARLIER)
    on.letter(identity, run=BAD, resolved="x")
    dismissed = on.publish(b"[]", None, EARLIER, run=BAD, item=(item := on.item()))
    on.letter(dismissed, b"[]", run=BAD, item=item)
    on.letter(letter_id(dismissed.encode(), b"[]"), run=BAD, resolved=DISMISSAL, message="no need")
    on.publish(b"not json", None, EARLY, run=BAD, item=on.item())  # not rejected yet


def with_items(on: Written) -> None:
    """Items that are of more than one message."""
    first, second, item = on.new(), on.new(), on.item()
    for one in (first, second):
        on.send(one, item=item)
    on.store(first)  # the second one is missing, and with it the item
    both = (on.new(), on.new())
    for one in both:
        on.send(one, item="1/both")
        on.store(one)
    on.send(both[0], OTHER)
    fetched = on.new()
    on.letter("url#2", b"{}", run=BAD, item="1/retried", origin_url="http://api/")
    on.send(fetched, item="1/retried")
    on.store(fetched)
    nameless = on.new()
    on.publish(to_bytes(nameless), None, EARLY)
    on.store(nameless)
    twice = on.new()
    for _ in range(2):
        on.send(twice)
    on.store(twice)


@pytest.mark.parametrize(
    ("absent", "of"), [("clear", ()), pytest.param("keep", ("--run", BAD), marks=pytest.mark.thorough)]
)
def test_both_ways_say_the_same(stack_settings: Settings, tmp_path: Path, absent: str, of: tuple[str, ...]) -> None:
    name = f"on_spark_{absent}"
    names = {"name": name, "topic": name.replace("_", "."), "table": name, "absent": absent}
    (tmp_path / "own_pipeline.py").write_text(DECLARED.format(names), "utf-8")
    own = QUAKES.model_copy(update=names)
    with Broker(stack_settings.kafka) as broker, Store(stack_settings.cassandra) as store:
        resources = prepare(stack_settings, own, store)
        on = Written(own, broker, store)
        well(on, GOOD)
        well(on, BAD)
        badly(on)
        with_deletions(on)
        with_letters(on)
        with_items(on)
        ends = {number: span.end - 1 for number, span in broker.offsets(own.topic).items() if span.end}
        counts = Counts(store, own)
        counts.report(Flow(GOOD, "a"), Report(BULK + 7, BULK + 6, 1, NOW, ends))
        counts.report(Flow(BAD, "a"), Report(500, 500, 0, NOW, ends))
        resources.counts.bind("stream", resources.topic_id, resources.table_id)
        passed = {number: (0, last) for number, last in ends.items()}
        counts.add(Batch("stream", 0, {Flow(GOOD, "a"): Tally(1)}, passed), Counted({}, -1))
        # What the stream has yet to reach.
        for deleted in (None, NOW):
            on.send(on.new(gone=deleted), OTHER, NOW)
    today, on_spark = (reconcile(stack_settings, tmp_path, *of, *options) for options in ((), ("--on-spark",)))
    assert today.returncode == LedgerError.exit_code, today.stderr
    assert on_spark.stdout.splitlines() == today.stdout.splitlines(), on_spark.stderr
    assert on_spark.returncode == today.returncode
    assert on_spark.stderr.splitlines()[-1] == today.stderr.splitlines()[-1]
    balances = {each["run"]: each["balances"] for each in map(json.loads, today.stdout.splitlines())}
    assert (balances.get(GOOD, True), balances[BAD]) == (True, False)
    [proved] = re.findall(r"proved (\d+) of \d+ messages", on_spark.stderr)
    assert int(proved) >= 2 * BULK


def reconcile(settings: Settings, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    own = settings.model_copy(update={"pipelines": ("own_pipeline:OWN",)})
    return subprocess.run(
        (sys.executable, "-m", "penstock", "--verbose", "reconcile", "--deep", "--json", *options),
        env={**child_environment(own.environment()), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
