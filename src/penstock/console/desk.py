"""Gathers for a page what the overview does not have: a run, a trace, letters, services, findings.

Whatever may take long runs in a thread, and what reads a topic one at a time.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from penstock.airflow import Airflow, DagRun
from penstock.audit import letters as audit
from penstock.audit import records
from penstock.audit.ledger import Balance
from penstock.audit.ledger.reconcile import balance_of_counts
from penstock.audit.letters import Filter, Letter, LetterIndex, Outcome, State
from penstock.audit.overview import clients
from penstock.audit.trace import Trace, trace
from penstock.cassandra import Counts, RunCounts
from penstock.config import KafkaSettings, Settings
from penstock.console.marking import Piece, editable, pieces
from penstock.doctor import Finding, examine
from penstock.errors import LetterError, PenstockError, TraceError
from penstock.kafka import Publisher, Received, Topics
from penstock.launcher import control
from penstock.launcher.control import StackState
from penstock.pipelines.contract import Pipeline

Found = TypeVar("Found")

_PATIENCE_S = 10.0
_RECORDS = 100
_LOG_LINES = 300
_FINDINGS_S = 30.0


@dataclass(frozen=True)
class RunPage:
    """One run: its account, some of its records, and what Airflow says of it."""

    counts: RunCounts
    balance: Balance
    records: list[records.Sent]
    dag_run: DagRun | None
    logs: dict[str, str]
    without_airflow: str
    """Why nothing of Airflow is shown."""


@dataclass(frozen=True)
class LettersPage:
    """Some letters, and how many there are."""

    shown: list[Letter]
    count: int
    by_reason: dict[str, int]


@dataclass(frozen=True)
class LetterPage:
    """One letter with its bytes."""

    letter: Letter
    message: Received
    pieces: list[Piece]
    editable: str
    """The value as text, to be corrected; empty where it is none."""
    schema: dict[str, object]


@dataclass(frozen=True)
class TracePage:
    """The trace of a record, or why there is none."""

    trace: Trace | None
    problem: str


class LetterTopic(Topics, Publisher, Protocol):
    """The part of a `Broker` that letters need."""

    def identity(self, topic: str) -> str: ...


OpenLetters = Callable[[KafkaSettings], AbstractContextManager[LetterTopic]]


class Desk:
    """Asks the servers for what one page shows. `open_letters` opens the Kafka that has the letters."""

    def __init__(self, settings: Settings, open_letters: OpenLetters = clients.broker) -> None:
        self._open_letters = open_letters
        self._settings = clients.patient_for(settings, _PATIENCE_S)
        # Of SQLite's connections each is its thread's.
        self._reading = ThreadPoolExecutor(1, "letters")
        self._indexes: dict[str, tuple[ExitStack, LetterTopic, LetterIndex]] = {}
        self._findings: tuple[float, list[Finding]] | None = None
        self._examining = asyncio.Lock()
        self._tracing = asyncio.Lock()

    def close(self) -> None:
        """Ends what is kept open."""

        def end() -> None:
            for closing, _, _ in self._indexes.values():
                closing.close()

        self._reading.submit(end).result()
        self._reading.shutdown()

    def run(self, pipeline: Pipeline, run: str) -> RunPage:
        """Raises LedgerError, BrokerError or StoreError where nothing can be known of it."""
        with clients.broker(self._settings.kafka) as broker, clients.store(self._settings.cassandra) as store:
            counts = Counts(store, pipeline)
            found = counts.runs(run) if counts.exist() else []
            if not found:
                raise TraceError(f"nothing is known of run {run!r} of pipeline {pipeline.name}")
            balance = balance_of_counts(found[0], counts.position(broker.identity(pipeline.topic)))
            some = records.of_run(broker, pipeline, found[0], _RECORDS)
        return RunPage(found[0], balance, some, *self._of_airflow(pipeline, run))

    def _of_airflow(self, pipeline: Pipeline, run: str) -> tuple[DagRun | None, dict[str, str], str]:
        try:
            with Airflow(self._settings, patience_s=0, timeout_s=_PATIENCE_S) as airflow:
                found = airflow.known_run(pipeline.schedule.dag_id, run)
                if found is None:
                    return None, {}, "Airflow has no run of this name: ingest was started by hand."
                return found, airflow.logs(found), ""
        except PenstockError as error:
            return None, {}, str(error)

    async def trace(self, pipeline: Pipeline, wanted: str) -> TracePage:
        """Reads the whole topic: one at a time."""
        async with self._tracing:
            try:
                return TracePage(await asyncio.to_thread(trace, self._settings, pipeline, wanted), "")
            except TraceError as error:
                return TracePage(None, str(error))

    async def letters(
        self, pipeline: Pipeline, reason: str | None, run: str | None, resolved: bool, skip: int, most: int
    ) -> LettersPage:
        """The newest first."""
        choice = Filter(reason, run, resolved=resolved)

        def read(index: LetterIndex, _: LetterTopic) -> LettersPage:
            shown = list(index.letters(choice, newest=most, skip=skip))
            return LettersPage(shown, index.count(choice), index.by_reason(Filter(run=run, resolved=resolved)))

        return await self._with_index(pipeline, read)

    async def letter(self, pipeline: Pipeline, identity: str) -> LetterPage:
        """Raises LetterError where there is no such letter."""

        def read(index: LetterIndex, _: LetterTopic) -> LetterPage:
            letter, message, value = _body(index, identity)
            shown = pieces(value, letter.reason, letter.message)
            return LetterPage(letter, message, shown, editable(value), pipeline.json_schema())

        return await self._with_index(pipeline, read)

    async def judged(self, pipeline: Pipeline, identity: str, value: bytes) -> str:
        """What is wrong with the value in place of the letter's; empty where a replay would publish it."""

        def judge(index: LetterIndex, _: LetterTopic) -> str:
            return _replayed(pipeline, index, identity, value, None)

        return await self._with_index(pipeline, judge, anew=False)

    async def replay(self, pipeline: Pipeline, identity: str, value: bytes) -> str:
        """The same, and publishes it where nothing is wrong."""

        def publish(index: LetterIndex, broker: LetterTopic) -> str:
            return _replayed(pipeline, index, identity, value, broker)

        return await self._with_index(pipeline, publish)

    async def dismiss(self, pipeline: Pipeline, identity: str, why: str) -> None:
        """Closes the letter."""

        def close(index: LetterIndex, broker: LetterTopic) -> None:
            audit.dismiss(pipeline, [index.find(identity)], why, datetime.now(UTC), broker)

        await self._with_index(pipeline, close)

    def services(self) -> StackState:
        """The state of the stack, with the memory of each service."""
        return control.status(self._settings)

    def log(self, service: str) -> list[str]:
        """Raises ServiceError where no service of that name has written one."""
        return control.tail(self._settings, service, _LOG_LINES)

    async def findings(self, *, anew: bool) -> list[Finding]:
        """The doctor's; those of a moment ago unless they are wanted anew."""
        async with self._examining:
            now_s = time.monotonic()
            if self._findings is None or anew or now_s - self._findings[0] > _FINDINGS_S:
                self._findings = now_s, await asyncio.to_thread(lambda: of_the_stack(examine(self._settings)))
            return self._findings[1]

    async def _with_index(
        self, pipeline: Pipeline, use: Callable[[LetterIndex, LetterTopic], Found], *, anew: bool = True
    ) -> Found:
        """Uses the pipeline's letters, read up to now."""

        def used() -> Found:
            topic = pipeline.dead_letter_topic
            is_new = topic not in self._indexes
            _, broker, index = self._opened(pipeline) if is_new else self._indexes[topic]
            if (anew or is_new) and broker.identity(topic):
                index.read()
            return use(index, broker)

        return await asyncio.get_running_loop().run_in_executor(self._reading, used)

    def _opened(self, pipeline: Pipeline) -> tuple[ExitStack, LetterTopic, LetterIndex]:
        closing = ExitStack()
        broker = closing.enter_context(self._open_letters(self._settings.kafka))
        index = closing.enter_context(LetterIndex(pipeline, broker))
        self._indexes[pipeline.dead_letter_topic] = closing, broker, index
        return self._indexes[pipeline.dead_letter_topic]


def of_the_stack(findings: Iterable[Finding]) -> list[Finding]:
    """The findings but for those about the environment of the one who asks: here it would be the console's own."""
    return [each for each in findings if each.subject not in ("environment", "proxies")]


def _body(index: LetterIndex, identity: str) -> audit.Body:
    found = next(iter(index.bodies(Filter(ids=(identity,), resolved=True))), None)
    if found is None:
        raise LetterError(f"dead letter {identity!r} is not in its topic any more")
    return found


def _replayed(pipeline: Pipeline, index: LetterIndex, identity: str, value: bytes, broker: LetterTopic | None) -> str:
    letter, message, _ = _body(index, identity)
    outcomes: list[Outcome] = []
    audit.replay(pipeline, [(letter, message, value)], datetime.now(UTC), broker, outcomes.append)
    [outcome] = outcomes or [Outcome(letter, State.REPLAYED)]
    return "" if outcome.state is State.REPLAYED else outcome.problem
