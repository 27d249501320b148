"""Looks at every server of the pipelines, and makes one picture of what they say.

All servers are asked at the same time, each by a client that is kept open. The first look takes as long as the slowest
one; later ones do not wait for a server that is slow, and go on with its last answer until its patience is over.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, TypeVar

import httpx

from penstock.airflow import Airflow
from penstock.audit.ledger.kept import Kept
from penstock.audit.overview import checkpoint, facts
from penstock.audit.overview.compose import Said, Standings, own, phase, pipeline_part, standing
from penstock.audit.overview.memory import OfPipeline, Passed, Silences
from penstock.audit.overview.picture import Overview, PipelinePart, Standing
from penstock.audit.overview.reasons import Reasons
from penstock.cassandra import Store
from penstock.config import CassandraSettings, KafkaSettings, Ports, Settings
from penstock.errors import BrokerError, PenstockError, StoreError
from penstock.kafka import Broker
from penstock.launcher import control
from penstock.launcher.state import ServiceState
from penstock.network import http
from penstock.network.listening import addresses, nobody_at
from penstock.pipelines.contract import Pipeline

Opened = TypeVar("Opened")

PATIENCE_S = 5.0
"""How long one server may take to answer, before it is called silent."""
_LATE_S = 1.0
"""How long a look waits for a server that has answered before; then it takes the last answer."""
_SHARE = 0.05
"""The part of the time that asking one server may take; one that takes longer is asked less often."""
_LONGEST_S = 15.0
"""How old an answer may become by that."""


@dataclass(frozen=True)
class Answer:
    """What a server said, by the pipeline's name; or why it said nothing."""

    values: Mapping[str, Any]
    problem: str = ""


class Observer:
    """Looks at these pipelines as often as it is asked; a context manager that keeps the clients open in between.

    One look at a time. It changes nothing, and makes nothing that is not there. `settings` have the credentials of
    Airflow.
    """

    def __init__(
        self,
        settings: Settings,
        pipelines: Sequence[Pipeline],
        *,
        patience_s: float = PATIENCE_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._pipelines, self._now = settings, tuple(pipelines), now
        self._patience_s = patience_s
        self._memory = {pipeline.name: OfPipeline() for pipeline in pipelines}
        self._silences = Silences()
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        settings, patience_s = self._settings, self._patience_s
        kafka = settings.kafka.model_copy(update={"delivery_timeout_s": patience_s})
        cassandra = settings.cassandra.model_copy(update={"request_timeout_s": patience_s})
        self._broker = self._kept(lambda: _broker(kafka))
        store = self._kept(lambda: _store(cassandra))
        airflow = self._kept(lambda: Airflow(settings, patience_s=0, timeout_s=patience_s))
        web = self._kept(partial(_web, settings, patience_s))
        reasons = {pipeline.name: Reasons(pipeline.dead_letter_topic) for pipeline in self._pipelines}
        pipelines, gauges = self._pipelines, _gauges(settings)
        slow_s = 2 * patience_s  # a client takes the patience for each of its requests, and to connect
        self._asked = {
            "kafka": _asked(self._broker, lambda opened: facts.ask_broker(opened, pipelines, reasons), slow_s),
            "cassandra": _asked(store, lambda opened: facts.ask_store(opened, pipelines), slow_s),
            "airflow": _asked(airflow, lambda opened: facts.ask_airflow(opened, pipelines), slow_s),
            "stream": _asked(web, lambda opened: facts.ask_spark(opened, gauges, pipelines), slow_s),
        }
        self._threads = self._closing.enter_context(ThreadPoolExecutor(len(self._asked), "overview"))
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def look(self) -> Overview:
        """The picture of this moment."""
        for asked in self._asked.values():
            asked.begin(self._threads)
        services = control.status(self._settings, memory=False).services
        answers = {name: asked.answer() for name, asked in self._asked.items()}
        at = self._now()
        parts = tuple(self._part(pipeline, answers, services, at) for pipeline in self._pipelines)
        return Overview(at=at, pipelines=parts, services=services)

    def _part(
        self, pipeline: Pipeline, answers: Mapping[str, Answer], services: Sequence[ServiceState], at: datetime
    ) -> PipelinePart:
        kafka, cassandra, airflow, stream = (
            answers[name].values.get(pipeline.name) for name in ("kafka", "cassandra", "airflow", "stream")
        )
        said = Said(kafka, cassandra, airflow, stream)
        servers = self._standings(pipeline, answers, services, at)
        memory = self._memory[pipeline.name]
        committed = {} if said.counted else checkpoint.position(self._settings, pipeline)
        passed = memory.passed(said.held, said.counted, committed)
        if said.held:
            self._read_oldest(pipeline, said.held, passed)
        moves = all(servers[name]["standing"] is not Standing.SILENT for name in ("kafka", "cassandra", "stream"))
        partitions = memory.partitions(said.held, passed, at, moves=moves) if said.held else ()
        return pipeline_part(pipeline, self._settings, said, servers, passed, partitions, at)

    def _standings(
        self, pipeline: Pipeline, answers: Mapping[str, Answer], services: Sequence[ServiceState], at: datetime
    ) -> Standings:
        found = {}
        for name, answer in answers.items():
            problem = answer.problem
            if name == "stream" and not problem and answer.values[pipeline.name] is None:
                problem = f"Spark answers, and no query of pipeline {pipeline.name} runs"
            judged = standing(name, problem, services, self._settings)
            known = [each.silent_since for each in own(name, services) if each.silent_since]
            since = self._silences.since(f"{name} {pipeline.name}", at, known, silent=judged is Standing.SILENT)
            said = {"problem": problem if judged is not Standing.ANSWERS else "", "phase": phase(name, services)}
            found[name] = {"standing": judged, "since": since, **said}
        return found

    def _read_oldest(self, pipeline: Pipeline, held: facts.Held, passed: Passed) -> None:
        """Reads the first message of what waits, where it is another one than before."""
        memory = self._memory[pipeline.name]
        spans = memory.unread(held, passed)
        if not spans or not self._asked["kafka"].is_idle:
            return
        try:
            with self._broker.look() as broker:
                heads = broker.heads(pipeline.topic, spans)
        except BrokerError:  # it answered a moment ago; the next look says what is the matter
            return
        memory.remember_oldest(spans, {number: message.timestamp for number, message in heads.items()})

    def _kept(self, opening: Callable[[], AbstractContextManager[Opened]]) -> Kept[Opened]:
        return self._closing.enter_context(Kept(opening))


class _Asked:
    """One server: asked in a thread of its own, and never twice at a time."""

    def __init__(self, ask: Callable[[], Mapping[str, Any]], patience_s: float) -> None:
        self._ask, self._patience_s = ask, patience_s
        self._asking: Future[Answer] | None = None
        self._last: Answer | None = None
        self._began_s = self._next_s = 0.0

    def begin(self, threads: ThreadPoolExecutor) -> None:
        """Asks anew, unless it is being asked, or asking took so long that the last answer still counts."""
        if self._asking is None and time.monotonic() >= self._next_s:
            self._began_s = time.monotonic()
            self._asking = threads.submit(self._answer)

    def answer(self) -> Answer:
        """The new answer; the last one where the new one is late, but not longer than the patience."""
        if self._asking is not None:
            left_s = self._began_s + self._patience_s - time.monotonic()
            late_s = left_s if self._last is None or left_s < 0 else min(left_s, _LATE_S)
            try:
                self._last, self._asking = self._asking.result(max(0.0, late_s)), None
            except TimeoutError:
                if self._last is None or time.monotonic() - self._began_s >= self._patience_s:
                    self._last = Answer({}, f"no answer within {self._patience_s:.0f} s")
        return self._last or Answer({}, "not asked yet")

    @property
    def is_idle(self) -> bool:
        """Whether its client is free for another question."""
        return self._asking is None

    def _answer(self) -> Answer:
        try:
            found = Answer(self._ask())
        except PenstockError as error:
            return Answer({}, str(error))
        ended_s = time.monotonic()
        self._next_s = ended_s + min(_LONGEST_S, (ended_s - self._began_s) / _SHARE)
        return found


def _asked(kept: Kept[Opened], ask: Callable[[Opened], Mapping[str, Any]], patience_s: float) -> _Asked:
    def asking() -> Mapping[str, Any]:
        with kept.look() as opened:
            return ask(opened)

    return _Asked(asking, patience_s)


def _broker(settings: KafkaSettings) -> Broker:
    # librdkafka waits for a broker that is not there yet, and logs that it does.
    if where := nobody_at(addresses(settings.bootstrap_servers, Ports().kafka), settings.delivery_timeout_s):
        raise BrokerError(f"no Kafka takes a connection: {where}")
    return Broker(settings)


def _store(settings: CassandraSettings) -> Store:
    if where := nobody_at(addresses(settings.contact_points, settings.port), settings.request_timeout_s):
        raise StoreError(f"no Cassandra takes a connection: {where}")
    return Store(settings)


def _gauges(settings: Settings) -> str:
    port = settings.spark.conf.get("spark.ui.port", str(settings.ports.spark_driver_ui))
    return f"http://{settings.hosts.stream}:{port}/metrics/json/"


def _web(settings: Settings, patience_s: float) -> httpx.Client:
    return httpx.Client(transport=http.transport(settings.own_hosts()), timeout=patience_s)
