"""Looks at every server of the pipelines, and makes one picture of what they say.

All servers are asked at the same time, each by a client that is kept open. The first look takes as long as the slowest
one; later ones do not wait for a server that is slow, and go on with its last answer until its patience is over.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, TypeVar

from penstock.airflow import Airflow
from penstock.audit.ledger.kept import Kept
from penstock.audit.overview import checkpoint, clients, facts
from penstock.audit.overview.asked import Answer, Asked
from penstock.audit.overview.compose import Said, Standings, own, phase, pipeline_part, standing
from penstock.audit.overview.memory import OfPipeline, Passed, Silences
from penstock.audit.overview.picture import Overview, PipelinePart, Standing
from penstock.audit.overview.reasons import Reasons
from penstock.config import Settings
from penstock.errors import BrokerError
from penstock.launcher import control
from penstock.launcher.state import ServiceState
from penstock.pipelines.contract import Pipeline

Opened = TypeVar("Opened")

PATIENCE_S = 5.0
"""How long one server may take to answer, before it is called silent."""


class Observer:
    """Looks at these pipelines as often as it is asked; a context manager that keeps the clients open in between.

    One look at a time. It changes nothing, and makes nothing that is not there. `settings` have the credentials of
    Airflow. `failures` gives, by pipeline, why a stream that runs says that it does not carry it.
    """

    def __init__(
        self,
        settings: Settings,
        pipelines: Sequence[Pipeline],
        *,
        patience_s: float = PATIENCE_S,
        failures: Callable[[], Mapping[str, str]] = dict,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings, self._pipelines, self._now = settings, tuple(pipelines), now
        self._patience_s, self._failures = patience_s, failures
        self._memory = {pipeline.name: OfPipeline() for pipeline in pipelines}
        self._silences = Silences()
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        settings, patience_s = self._settings, self._patience_s
        patient = clients.patient_for(settings, patience_s)
        self._broker = self._kept(lambda: clients.broker(patient.kafka))
        store = self._kept(lambda: clients.store(patient.cassandra))
        airflow = self._kept(lambda: Airflow(settings, patience_s=0, timeout_s=patience_s))
        web = self._kept(partial(clients.web, settings, patience_s))
        reasons = {pipeline.name: Reasons(pipeline.dead_letter_topic) for pipeline in self._pipelines}
        pipelines, gauges = self._pipelines, clients.gauges(settings)
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
            problem, more = answer.problem, {}
            if name == "stream" and not problem and answer.values[pipeline.name] is None:
                problem = f"Spark answers, and no query of pipeline {pipeline.name} runs"
                more["failure"] = self._failures().get(pipeline.name, "")
            judged = standing(name, problem, services, self._settings)
            known = [each.silent_since for each in own(name, services) if each.silent_since]
            since = self._silences.since(f"{name} {pipeline.name}", at, known, silent=judged is Standing.SILENT)
            said = {"problem": problem if judged is not Standing.ANSWERS else "", "phase": phase(name, services)}
            found[name] = {"standing": judged, "since": since, **said, **more}
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


def _asked(kept: Kept[Opened], ask: Callable[[Opened], Mapping[str, Any]], patience_s: float) -> Asked:
    def asking() -> Mapping[str, Any]:
        with kept.look() as opened:
            return ask(opened)

    return Asked(asking, patience_s)
