"""From the API's answer to the readable row, at a steady rate that does not wait for anybody (open loop).

A record's clock starts when it was meant to be sent, not when it was: who makes the sender wait pays for it.
"""

import json
import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from bench import numbers
from bench.dataset import Dataset, messages
from bench.peers.contender import Contender, running
from bench.place import Place
from penstock.cassandra import Store
from penstock.kafka import Broker, Message

LOOK_S = 0.02
"""Between two looks for rows: what is read is up to this late."""
EVERY = 20
"""One record of so many is looked for."""
_MOST_ASKED = 100
_LAST_TIMEOUT_S = 120
_START_TIMEOUT_S = 240
_BUSY = 0.6
"""The share of the processors that a steady rate may take: beyond it the queue for a processor is what is measured."""
_ROUNDED_TO = 25
_never = threading.Event()


@dataclass
class Watched:
    """Keys in the order of sending with the moment that each was meant for, and what came of them."""

    waiting: deque[tuple[float, UUID]] = field(default_factory=deque)
    latencies_s: list[tuple[float, float]] = field(default_factory=list)
    """(meant for, seconds until it could be read)."""
    most_late_s: float = 0
    """How late the sender itself was at worst."""
    busy: float = 0
    """Which share of the machine's processors was busy while it counted, from 0 to 1."""


@dataclass(frozen=True)
class Load:
    """How much is sent: `warm_up_s` do not count."""

    per_second: int
    warm_up_s: float = 60
    seconds: float = 180

    @property
    def records(self) -> int:
        return round((self.warm_up_s + self.seconds) * self.per_second)


def latency(place: Place, contender: Contender, dataset: Dataset, load: Load, folder_name: str) -> dict[str, Any]:
    """One run of a contender that reads from now on. The topic must exist, and the data set be large enough."""
    place.empty_table()
    folder = place.runs / folder_name
    folder.mkdir(parents=True)
    with running(contender.command(place, dataset, folder), place, folder):
        _wait_until_it_runs(place, folder)
        watched = Watched()
        sender = threading.Thread(target=_send, args=(place, dataset, load, watched), daemon=True)
        began_s = time.monotonic()
        sender.start()
        _look(place, watched, sender, began_s + load.warm_up_s)
    if watched.waiting:
        return {"wrong": f"{len(watched.waiting)} rows cannot be read {_LAST_TIMEOUT_S} s after the last was sent"}
    counted = [late_s for meant_s, late_s in watched.latencies_s if meant_s - began_s >= load.warm_up_s]
    late = {f"p{percent}_ms": 1_000 * numbers.percentile(counted, percent) for percent in (50, 90, 99, 99.9, 100)}
    return {
        "wrong": "",
        "samples": len(counted),
        "sender_late_ms": 1_000 * watched.most_late_s,
        "busy_percent": 100 * watched.busy,
        **late,
        "curve": curve([(meant_s - began_s - load.warm_up_s, late_s) for meant_s, late_s in watched.latencies_s]),
    }


def carried(most_per_second: int, outcomes: Iterable[Mapping[str, Any]]) -> int:
    """The rate that this machine carries with room to spare, whoever of those that were tried runs.

    A share of the processors falls by less than the rate, so the rate that is reckoned from it is on the safe side.
    """
    shares = [_BUSY / (one["busy_percent"] / 100) if not one["wrong"] else 0.5 for one in outcomes]
    rate = most_per_second * min(1.0, *shares)
    return max(_ROUNDED_TO, int(rate) // _ROUNDED_TO * _ROUNDED_TO)


def curve(latencies_s: list[tuple[float, float]]) -> list[tuple[int, float, float]]:
    """(second, median, worst) in milliseconds of what was meant to be sent in each second; before 0 is the warm-up."""
    seconds: dict[int, list[float]] = {}
    for meant_s, late_s in latencies_s:
        seconds.setdefault(math.floor(meant_s), []).append(1_000 * late_s)
    return [(second, numbers.percentile(each, 50), max(each)) for second, each in sorted(seconds.items())]


def _wait_until_it_runs(place: Place, folder: Path) -> None:
    """Until the query has looked where the topic ends: from then on it misses nothing."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not list((folder / "checkpoint").rglob("sources/0/0")):
        if time.monotonic() > deadline:
            raise SystemExit(f"no query runs after {_START_TIMEOUT_S} s; see {folder / 'log'}")
        _never.wait(0.1)


def _send(place: Place, dataset: Dataset, load: Load, watched: Watched) -> None:
    with Broker(place.client.kafka) as broker:
        broker.publish(_paced(dataset, load, watched))


def _paced(dataset: Dataset, load: Load, watched: Watched) -> Iterator[Message]:
    began_s, clock = time.monotonic(), datetime.now(UTC)
    for number, message in zip(range(load.records), messages(dataset), strict=False):
        after_s = number / load.per_second
        wait_s = began_s + after_s - time.monotonic()
        if wait_s > 0:
            _never.wait(wait_s)
        watched.most_late_s = max(watched.most_late_s, -wait_s)
        if number % EVERY == 0:
            key = json.loads(message.value)[dataset.pipeline.key]
            watched.waiting.append((began_s + after_s, UUID(key)))
        sent_at = clock + timedelta(seconds=after_s)
        yield Message(message.topic, message.key, message.value, message.headers, sent_at)


def _look(place: Place, watched: Watched, sender: threading.Thread, counts_s: float) -> None:
    deadline_s, before = float("inf"), psutil.cpu_times()
    while watched.waiting or sender.is_alive():
        if time.monotonic() < counts_s:
            before = psutil.cpu_times()
        if sender.is_alive():
            watched.busy = _busy(before, psutil.cpu_times())
        else:
            deadline_s = min(deadline_s, time.monotonic() + _LAST_TIMEOUT_S)
        if time.monotonic() > deadline_s:
            return
        asked = [watched.waiting[number] for number in range(min(_MOST_ASKED, len(watched.waiting)))]
        found = _there(place.store, place, [key for _, key in asked])
        now_s = time.monotonic()
        for meant_s, key in asked:
            if key in found:
                watched.waiting.remove((meant_s, key))
                watched.latencies_s.append((meant_s, now_s - meant_s))
        _never.wait(LOOK_S)


def _busy(before: Any, after: Any) -> float:
    spent = {name: getattr(after, name) - getattr(before, name) for name in after._fields}
    # Linux counts a guest's time among the user's as well.
    all_s = sum(seconds for name, seconds in spent.items() if not name.startswith("guest"))
    return 1 - (spent["idle"] + spent.get("iowait", 0)) / all_s if all_s else 0


def _there(store: Store, place: Place, keys: list[UUID]) -> set[UUID]:
    if not keys:
        return set()
    [key] = place.pipeline.keys.names
    # One statement for each number of keys would fill the cache of prepared ones, and one of a hundred keys would read
    # a hundred rows every time: there is one for each power of two, and the last key stands in for none.
    asked = 1 << (len(keys) - 1).bit_length()
    padded = (*keys, *(keys[-1:] * (asked - len(keys))))
    marks = ", ".join("?" * asked)
    cql = f"SELECT {key} FROM {place.table} WHERE {key} IN ({marks})"  # noqa: S608 - names of the declaration
    return {row[key] for row in store.execute(cql, padded)}
