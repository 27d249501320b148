"""The parts of the picture, made of what the servers said. Asks nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock.airflow import RunTimes
from penstock.audit.ledger import Balance
from penstock.audit.ledger.reconcile import balance_of_counts
from penstock.audit.overview.facts import Counted, Held, Query, Scheduled
from penstock.audit.overview.memory import Passed
from penstock.audit.overview.picture import (
    AirflowPart,
    CassandraPart,
    DagRunPart,
    KafkaPart,
    LettersPart,
    PartitionPart,
    PipelinePart,
    RunPart,
    SourcePart,
    Standing,
    StreamPart,
)
from penstock.audit.overview.sentence import tell
from penstock.cassandra import RunCounts
from penstock.config import LOOPBACK, Settings
from penstock.launcher.state import Phase, ServiceState
from penstock.pipelines.contract import Pipeline
from penstock.source.api import address
from penstock.urls import shown

_RECENT = timedelta(seconds=60)
"""A stream whose page cannot be asked runs, if it reported a micro-batch since then."""

Standings = Mapping[str, Mapping[str, Any]]
"""Server -> the fields of `picture.Server`."""


@dataclass(frozen=True)
class Said:
    """The answers of the servers about one pipeline; None where a server gave none."""

    held: Held | None
    counted: Counted | None
    scheduled: Scheduled | None
    query: Query | None


def own(name: str, services: Sequence[ServiceState]) -> list[ServiceState]:
    """The local services that are this server: itself, its nodes or its parts."""
    return [each for each in services if each.name == name or each.name.startswith(f"{name}-")]


def standing(name: str, problem: str, services: Sequence[ServiceState], settings: Settings) -> Standing:
    """`problem` is empty where the server answered."""
    if not problem:
        return Standing.ANSWERS
    ours = own(name, services)
    if any(each.state is not Phase.STOPPED for each in ours):
        return Standing.SILENT
    if ours or _would_be_local(name, settings):
        return Standing.ABSENT
    return Standing.UNKNOWN if name == "stream" else Standing.SILENT


def _would_be_local(name: str, settings: Settings) -> bool:
    local = settings.of_local_stack()
    here = {
        "kafka": (settings.kafka.bootstrap_servers, local.kafka.bootstrap_servers),
        "cassandra": (settings.cassandra.contact_points, local.cassandra.contact_points),
        "airflow": (settings.airflow.url, local.airflow.url),
        "stream": (settings.spark.master, local.spark.master),
    }
    ours, theirs = here[name]
    return ours == theirs and getattr(settings.hosts, name) == LOOPBACK


def phase(name: str, services: Sequence[ServiceState]) -> str:
    """The launcher's word for a server; of several the first that is not ready."""
    phases = [each.state for each in own(name, services)]
    return next((one for one in phases if one is not Phase.READY), phases[0] if phases else "")


def pipeline_part(
    pipeline: Pipeline,
    settings: Settings,
    said: Said,
    servers: Standings,
    passed: Passed,
    partitions: Sequence[PartitionPart],
    at: datetime,
) -> PipelinePart:
    """The whole of one pipeline, its sentence included."""
    position = passed.position or {}
    balances = [(run, balance_of_counts(run, position)) for run in (said.counted.runs if said.counted else ())]
    runs = tuple(_run(run, balance) for run, balance in balances)
    known = said.counted is not None
    part = PipelinePart(
        name=pipeline.name,
        source=_source(pipeline, settings, balances),
        airflow=_airflow(pipeline, said.scheduled, servers["airflow"]),
        kafka=KafkaPart(
            **servers["kafka"], topic=pipeline.topic, partitions=tuple(partitions), passed_from=passed.origin
        ),
        stream=_stream(said, servers["stream"], at),
        cassandra=CassandraPart(
            **servers["cassandra"],
            table=f"{pipeline.keyspace}.{pipeline.table}",
            stored=sum(run.stored for run in runs) if known else None,
        ),
        letters=LettersPart(
            topic=pipeline.dead_letter_topic,
            dead_lettered=sum(run.dead_lettered for run in runs) if known else None,
            by_reason=dict(said.held.by_reason) if said.held else {},
            newest=said.held.letters if said.held else 0,
        ),
        runs=runs,
    )
    state, sentence = tell(part, at)
    return part.model_copy(update={"state": state, "sentence": sentence})


def _source(pipeline: Pipeline, settings: Settings, balances: Sequence[tuple[RunCounts, Balance]]) -> SourcePart:
    reported = [report.at for run, _ in balances for report in run.reports.values()]
    url = shown(address(pipeline.name, pipeline.source, settings.source))
    return SourcePart(url=url, fetched_at=max(reported, default=None))


def _airflow(pipeline: Pipeline, scheduled: Scheduled | None, server: Mapping[str, Any]) -> AirflowPart:
    part = AirflowPart(**server, dag=pipeline.schedule.dag_id)
    if scheduled is None:
        return part
    timetable = scheduled.timetable
    more = (
        {
            "paused": timetable.is_paused,
            "next_run_at": timetable.next_run_at,
            "newest": _dag_run(timetable.newest) if timetable.newest else None,
        }
        if timetable
        else {}
    )
    return part.model_copy(update={"unhealthy": scheduled.unhealthy, **more})


def _dag_run(run: RunTimes) -> DagRunPart:
    return DagRunPart(
        run=run.run_id,
        state=run.state,
        logical_date=run.logical_date,
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


def _stream(said: Said, server: Mapping[str, Any], at: datetime) -> StreamPart:
    newest, query = said.counted.newest if said.counted else None, said.query
    # Spark's gauges also speak of its first look, which takes nothing.
    counted = {"batch": newest.number, "batch_at": newest.at} if newest else {}
    measured = {"batch_s": query.batch_s, "rows_per_s": query.rows_per_s} if newest and query else {}
    part = StreamPart(**server, **counted, **measured)
    works = part.standing is Standing.UNKNOWN and newest is not None and at - newest.at < _RECENT
    return part.model_copy(update={"standing": Standing.ANSWERS}) if works else part


def _run(run: RunCounts, balance: Balance) -> RunPart:
    account = balance.account
    return RunPart(
        run=run.run,
        state=_word(balance),
        fetched=balance.fetched,
        distinct=balance.distinct,
        acknowledged=account.acknowledged,
        stored=account.stored,
        dead_lettered=account.dead_lettered,
        in_flight=account.in_flight,
        lost=account.lost,
        equation=balance.equation(),
        problem=balance.problem,
        seen_at=run.seen,
    )


def _word(balance: Balance) -> str:
    if balance.problem:
        return "does not balance"
    if balance.account.in_flight:
        return "arriving"
    return "balances" if balance.settled else "not reported"
