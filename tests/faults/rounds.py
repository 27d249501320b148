"""One trial: load, a fault in the midst of it, the time until the pipeline carries again, and then the checks.

A stack serves many trials, so each one checks only what it published itself (`fresh`).
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from penstock.audit.ledger.kept import Kept
from penstock.cassandra import Store
from penstock.errors import StoreError
from penstock.ingest import Run
from penstock.kafka import Broker
from penstock.source import Interval
from penstock.source.api import Api, address
from tests.faults.check import Findings, check_rows
from tests.faults.fresh import Offsets, Series, check_counted, check_new, ends
from tests.faults.kinds import Fault
from tests.faults.load import Expected, Load, row_of
from tests.faults.members import MEMBERS
from tests.faults.results import Outcome
from tests.faults.stage import Stage
from tests.waiting import TIMEOUT_S, until

DAG_RECORDS = 4_000
_BEFORE, _AFTER = 150, 60
"""Messages before the fault, at least, and after the pipeline carries again."""
_SPAN = 600
"""Of the messages before the fault: at which of these it strikes, the seed decides."""

Say = Callable[[str], None]


def play(stage: Stage, series: Series, fault: Fault, seed: int, say: Say) -> Outcome:
    """Plays the trial; whatever goes wrong is its outcome."""
    stage.notes.clear()
    began_s = time.monotonic()
    try:
        records, seconds, findings = _play(stage, series, fault, seed, say)
    except Exception as error:  # noqa: BLE001 - a trial that cannot be played to its end has failed, and is told
        return _outcome(stage, fault, seed, began_s, failure=f"{type(error).__name__}: {error}")
    return _outcome(stage, fault, seed, began_s, records=records, seconds=round(seconds, 1), findings=findings)


def _outcome(stage: Stage, fault: Fault, seed: int, began_s: float, **found: Any) -> Outcome:
    took_s = round(time.monotonic() - began_s, 1)
    return Outcome(fault.name, seed, took_s=took_s, detail="; ".join(stage.notes), **found)


def _play(stage: Stage, series: Series, fault: Fault, seed: int, say: Say) -> tuple[int, float, Findings]:
    until(stage.is_well, "the stack is not well")
    run, settings = Run(MEMBERS, f"{fault.name.replace(' ', '-')}-{seed}"), stage.clients
    chance, begin = Random(run.id), _begin(stage)
    with Load(settings, run, run.id) as load:
        _until_published(load, _BEFORE + chance.randrange(_SPAN))
        _until_stored(stage, load, 0)
        dag = _DagRun(stage, seed) if fault.dag else None
        say("strikes")
        struck_s = time.monotonic()
        corrected = fault.strike(stage, chance)
        until(corrected, f"{fault.name} was not corrected", every_s=0.2)
        # Of those before, the driver may have written some just before it died.
        _until_stored(stage, load, load.expected.messages)
        seconds = time.monotonic() - struck_s
        say(f"carries again after {seconds:.0f} s")
        _until_published(load, load.expected.messages + _AFTER)
    findings = check_new(settings, run, load.expected, begin)
    series.add(run, load.expected, _begin(stage)[MEMBERS.topic])
    check_counted(settings, series, findings)
    if dag:
        dag.check(findings)
        series.tasks.append(dag.id)
    return load.expected.messages + (DAG_RECORDS if dag else 0), seconds, findings


def _begin(stage: Stage) -> Mapping[str, Offsets]:
    with Broker(stage.clients.kafka) as broker:
        return {topic: ends(broker, topic) for topic in (MEMBERS.topic, MEMBERS.dead_letter_topic)}


class _DagRun:
    """A run of the DAG in the midst of which the fault strikes."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._dag_id = stage.pipeline.schedule.dag_id
        self._moment = datetime.now(UTC).replace(microsecond=0) + timedelta(microseconds=seed % 1_000_000)
        with stage.airflow() as airflow:
            self.id = airflow.trigger(self._dag_id, self._moment, {"records": DAG_RECORDS})
            stage.topic.written_us[self.id] = {}
            until(lambda: _runs(airflow.state(self._dag_id, self.id)), "the task does not start", every_s=0.2)

    def check(self, findings: Findings) -> None:
        """The run succeeded, so it balanced, and its people are in the table as the API answers for them."""
        stage = self._stage
        with stage.airflow() as airflow:
            airflow.wait(self._dag_id, self.id, lambda _: None, TIMEOUT_S)
        with Store(stage.clients.cassandra) as store:
            check_rows(store, stage.pipeline, self._expected(), findings)

    def _expected(self) -> Expected:
        stage = self._stage
        expected = Expected(stage.pipeline.keys.names)
        with Broker(stage.clients.kafka) as broker:
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

    with Kept(lambda: Store(stage.clients.cassandra)) as kept:
        until(stored, f"no record after message {mark} was stored", every_s=0.2)
