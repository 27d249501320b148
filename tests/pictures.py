"""Pictures of a pipeline, made of what its servers might say; the clock stands at `AT`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.airflow import RunTimes, Timetable
from penstock.audit.overview import PipelinePart, Standing
from penstock.audit.overview.compose import Said, pipeline_part
from penstock.audit.overview.facts import Counted, Held, Query, Scheduled
from penstock.audit.overview.memory import OfPipeline
from penstock.cassandra import Newest, Report, RunCounts, Tally
from penstock.config import Settings
from penstock.kafka import Offsets
from penstock.pipelines.contract import Pipeline
from penstock.users import USERS

AT = datetime(2026, 11, 27, 14, 3, 12, tzinfo=UTC)
SETTINGS = Settings().resolved()
RUN = "scheduled__2026-11-27T00:00:00+00:00"
UP: Mapping[str, Any] = {"standing": Standing.ANSWERS}
TOPIC = "1"


def held(*spans: tuple[int, int], **reasons: int) -> Held:
    return Held(TOPIC, {number: Offsets(*span) for number, span in enumerate(spans)}, reasons, sum(reasons.values()))


def counted(read: int, fetched: int | None, passed: Mapping[int, int], rejected: int = 0) -> Counted:
    last = {0: (fetched or 0) - 1}
    reports = {} if fetched is None else {"a": Report(fetched, fetched, 0, AT, last)}
    run = RunCounts(RUN, reports, {"a": Tally(read, rejected)}, 0, AT)
    return Counted({TOPIC: passed}, (run,), Newest(7, AT - timedelta(seconds=3)))


def scheduled(state: str = "success", *, paused: bool = False, unhealthy: tuple[str, ...] = ()) -> Scheduled:
    run = RunTimes(RUN, state, AT, AT, AT - timedelta(minutes=3))
    return Scheduled(Timetable(paused, None if paused else AT + timedelta(hours=10), run), unhealthy)


def picture(
    topic: Held | None,
    counts: Counted | None,
    plan: Scheduled | None = None,
    memory: OfPipeline | None = None,
    pipeline: Pipeline = USERS,
    **servers: Mapping[str, Any],
) -> PipelinePart:
    """What the observer makes of the answers; all servers are well but for those that are named."""
    memory = memory or OfPipeline()
    passed = memory.passed(topic, counts, {})
    partitions = memory.partitions(topic, passed, AT, moves=True) if topic else ()
    standings = {name: servers.get(name, UP) for name in ("kafka", "cassandra", "airflow", "stream")}
    said = Said(topic, counts, plan or scheduled(), Query(0.2, 900))
    return pipeline_part(pipeline, SETTINGS, said, standings, passed, partitions, AT)


def silent(seconds: int = 0, phase: str = "") -> Mapping[str, Any]:
    since = AT - timedelta(seconds=seconds)
    return {"standing": Standing.SILENT, "since": since, "phase": phase, "problem": "timed out"}


ABSENT: Mapping[str, Any] = {"standing": Standing.ABSENT, "problem": "refused"}
DONE = counted(100, 100, {0: 99}, rejected=2)
