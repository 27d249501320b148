"""One round: load, a fault in the midst of it, the time until the pipeline carries again, and then the checks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from penstock.audit import ledger
from penstock.audit.ledger.kept import Kept
from penstock.cassandra import Counts, Store
from penstock.errors import StoreError
from penstock.ingest import Run
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.source import Interval
from penstock.source.api import Api, address
from tests.faults.check import Findings, check, check_rows
from tests.faults.kinds import Fault
from tests.faults.load import Expected, Load, row_of
from tests.faults.members import MEMBERS
from tests.faults.stage import Stage
from tests.waiting import TIMEOUT_S, until

DAG_RECORDS = 8_000
_BEFORE, _AFTER = 600, 300
"""Messages before the fault at least, and after the pipeline carries again."""


@dataclass(frozen=True)
class Outcome:
    """What one round found."""

    fault: str
    seed: int
    records: int = 0
    seconds: float = 0
    """From the fault until everything was ready and a record published after the fault was in the table."""
    findings: Findings = field(default_factory=Findings)
    failure: str = ""

    @property
    def passed(self) -> bool:
        return not self.failure and not self.findings.wrong

    @property
    def words(self) -> str:
        return self.failure or str(self.findings)


def play(stage: Stage, fault: Fault, seed: int, say: Callable[[str], None]) -> Outcome:
    """Plays the round; whatever goes wrong is its outcome."""
    try:
        return _play(stage, fault, seed, say)
    except Exception as error:  # noqa: BLE001 - a round that cannot be played to its end has failed, and is told
        return Outcome(fault.name, seed, failure=f"{type(error).__name__}: {error}")


def _play(stage: Stage, fault: Fault, seed: int, say: Callable[[str], None]) -> Outcome:
    until(stage.is_well, "the stack is not well")
    run = Run(MEMBERS, f"{fault.name.replace(' ', '-')}-{seed}")
    chance = Random(run.id)
    with Load(stage.settings, run, run.id) as load:
        _until_published(load, _BEFORE + chance.randrange(_BEFORE))
        _until_stored(stage, load, 0)
        dag = _DagRun(stage, seed) if fault.dag else None
        say("strikes")
        struck_s = time.monotonic()
        corrected = fault.strike(stage, chance)
        mark = load.expected.messages
        until(corrected, f"{fault.name} was not corrected", every_s=0.25)
        _until_stored(stage, load, mark)
        seconds = time.monotonic() - struck_s
        say(f"carries again after {seconds:.0f} s")
        _until_published(load, load.expected.messages + _AFTER)
    return _judge(stage, fault, seed, run, load.expected, dag, seconds)


def _judge(
    stage: Stage, fault: Fault, seed: int, run: Run, expected: Expected, dag: "_DagRun | None", seconds: float
) -> Outcome:
    account = ledger.wait_until_settled(stage.settings, run.pipeline, run.id, TIMEOUT_S)
    _until_counted(stage, run.pipeline)
    findings = check(stage.settings, stage.members, account, expected)
    records = expected.messages
    if dag:
        records += DAG_RECORDS
        dag.check(findings)
    return Outcome(fault.name, seed, records, seconds, findings)


def _until_counted(stage: Stage, pipeline: Pipeline) -> None:
    """The stream counts a micro-batch when all its rows are there, which the account sees one by one."""
    topic = pipeline.topic
    with Broker(stage.settings.kafka) as broker, Store(stage.settings.cassandra) as store:
        ends = {number: span.end for number, span in broker.offsets(topic).items()}
        identity, counts = broker.identity(topic), Counts(store, pipeline)

        def counted() -> bool:
            position = counts.position(identity)
            return all(position.get(number, -1) + 1 >= end for number, end in ends.items())

        until(counted, f"the stream did not count what {topic} holds")


class _DagRun:
    """A run of the DAG in the midst of which the fault strikes."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._dag_id = stage.pipeline.schedule.dag_id
        self._moment = datetime.now(UTC).replace(microsecond=0) + timedelta(microseconds=seed % 1_000_000)
        with stage.airflow() as airflow:
            self.id = airflow.trigger(self._dag_id, self._moment, {"records": DAG_RECORDS})
            stage.topic.written_us[self.id] = {}
            until(lambda: _runs(airflow.state(self._dag_id, self.id)), "the task does not start")

    def check(self, findings: Findings) -> None:
        """The run succeeded, and its people are in the table as the API answers for them."""
        stage = self._stage
        with stage.airflow() as airflow:
            airflow.wait(self._dag_id, self.id, lambda _: None, TIMEOUT_S)
        account = ledger.wait_until_settled(stage.settings, stage.pipeline, self.id, TIMEOUT_S)
        if not account.balances(DAG_RECORDS):
            findings.add("account", f"{self.id}: {account.equation(DAG_RECORDS)}")
        with Store(stage.settings.cassandra) as store:
            check_rows(store, stage.pipeline, self._expected(), findings)

    def _expected(self) -> Expected:
        stage = self._stage
        expected = Expected(stage.pipeline.keys.names)
        with Broker(stage.settings.kafka) as broker:
            stage.topic.look(broker)
        written_us = stage.topic.written_us.pop(self.id)
        source = stage.pipeline.source
        where = address(stage.pipeline.name, source, stage.settings.source)
        with Api(source, stage.settings.source, address=where) as api:
            for page in api.pages(Interval(self._moment), DAG_RECORDS):
                for person in page.items:
                    row = row_of(person)
                    expected.add_row(row, written_us.get(str(row["id"]), 0))
        return expected


def _runs(run: Any) -> bool:
    return any(task.state in {"running", "success"} for task in run.tasks)


def _until_published(load: Load, count: int) -> None:
    def enough() -> bool:
        load.goes_on()
        return load.expected.messages >= count

    until(enough, f"{count} messages were not published")


def _until_stored(stage: Stage, load: Load, mark: int) -> None:
    """A record that was published as message `mark` or later stands in the table."""

    def stored() -> bool:
        load.goes_on()
        keys = load.keys_since(mark)[:5]
        try:
            with kept.look() as store:
                return bool(keys) and any(True for _ in store.rows(MEMBERS, keys))
        except StoreError:
            return False

    with Kept(lambda: Store(stage.settings.cassandra)) as kept:
        until(stored, f"no record after message {mark} was stored", every_s=0.5)
