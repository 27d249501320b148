"""How long it takes from the API's answer to the row: one record after the other is followed until it can be read.

Neither Spark nor the counts could tell: a micro-batch is reported as a whole, and in no case when its row can be read.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import quantiles
from typing import Self

from penstock.audit.overview import PATIENCE_S, clients
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.errors import PenstockError
from penstock.kafka import Received
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import is_deleted, key_of
from penstock.pipelines.record import Rejected, write_time_ms

log = logging.getLogger(__name__)

_OVER_S = 900.0
_MOST = 1_000
_GIVE_UP_S = 60.0
"""A record that is no row after this time counts as if it had become one then."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _GROWTH = 0.005, 0.25, 1.2
"""Between two looks for a row: what is measured is a fifth too long at most."""
_LISTEN_S = 2.0
"""For a record at a time; the end of the console waits for it."""
_BETWEEN_S = 1.0
"""Between two records, and between two attempts to reach servers that are away."""


@dataclass(frozen=True)
class Latency:
    """Times of the records that were followed in the last 15 minutes: median, 99th percentile, and their number."""

    p50_s: float
    p99_s: float
    count: int


class Samples:
    """Latencies as they were seen; for two threads."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._seen: deque[tuple[float, float]] = deque(maxlen=_MOST)

    def add(self, seconds: float) -> None:
        self._seen.append((self._now_s(), seconds))

    def latency(self) -> Latency | None:
        """None where no record was followed."""
        since_s = self._now_s() - _OVER_S
        recent = sorted(seconds for at_s, seconds in list(self._seen) if at_s >= since_s)
        if not recent:
            return None
        cuts = quantiles(recent, n=100, method="inclusive") if len(recent) > 1 else recent * 99
        return Latency(cuts[49], cuts[98], len(recent))


class Probes:
    """One probe for each pipeline; as long as the block runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._probes: dict[str, Probe] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for probe in self._probes.values():
            probe.end()
        for probe in self._probes.values():
            probe.join()

    def latencies(self, pipelines: Mapping[str, Pipeline]) -> dict[str, Latency]:
        """The measured latencies of these pipelines. From now on these are followed, and no others."""
        for name, probe in list(self._probes.items()):
            if pipelines.get(name) is not probe.pipeline:
                self._probes.pop(name).end()
        for name, pipeline in pipelines.items():
            if name not in self._probes:
                self._probes[name] = Probe(self._settings, pipeline)
                self._probes[name].start()
        found = {name: probe.latency() for name, probe in self._probes.items()}
        return {name: latency for name, latency in found.items() if latency}


class Probe:
    """Follows records of one pipeline in a thread of its own."""

    def __init__(self, settings: Settings, pipeline: Pipeline) -> None:
        self._settings = clients.patient_for(settings, PATIENCE_S)
        self.pipeline = pipeline
        self._samples = Samples()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"probe {pipeline.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Returns at once; `join` waits for the thread."""
        self._ending.set()

    def join(self) -> None:
        self._thread.join()

    def latency(self) -> Latency | None:
        """The latency of the records followed so far; None where there were none."""
        return self._samples.latency()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._follow()
            except PenstockError as error:  # the overview says what is away
                log.debug("%s: no latency is measured: %s", self.pipeline.name, error)
            self._ending.wait(_BETWEEN_S)

    def _follow(self) -> None:
        with ExitStack() as closing:
            broker = closing.enter_context(clients.broker(self._settings.kafka))
            store = closing.enter_context(clients.store(self._settings.cassandra))
            if not broker.identity(self.pipeline.topic):
                return
            tail = closing.enter_context(broker.follow(self.pipeline.topic))
            while not self._ending.is_set():
                message = tail.next(_LISTEN_S)
                if message:
                    self._measure(message, store)
                    self._ending.wait(_BETWEEN_S)

    def _measure(self, message: Received, store: Store) -> None:
        record = message.judged(self.pipeline)
        if isinstance(record, Rejected) or is_deleted(self.pipeline, record):
            return
        if self._until_row(store, message, key_of(self.pipeline, record)):
            self._samples.add(max(0.0, time.time() - message.timestamp_ms / 1_000))

    def _until_row(self, store: Store, message: Received, key: object) -> bool:
        """Returns when the row has the message's values, or newer ones, or it is given up; false at the end."""
        written_us = write_time_ms(message.headers, message.timestamp_ms) * 1_000
        pause_s, until_s = _FIRST_PAUSE_S, time.monotonic() + _GIVE_UP_S
        while time.monotonic() < until_s:
            rows = store.rows(self.pipeline, [key]) if store.has_table(*_table(self.pipeline)) else iter(())
            if any(max(row.written_us.values(), default=0) >= written_us for row in rows):
                return True
            if self._ending.wait(pause_s):
                return False
            pause_s = min(_LONGEST_PAUSE_S, pause_s * _GROWTH)
        return True


def _table(pipeline: Pipeline) -> tuple[str, str]:
    return pipeline.keyspace, pipeline.table
