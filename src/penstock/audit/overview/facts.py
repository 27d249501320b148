"""The questions to each server for one look, for all pipelines at once. Every one is small, however much there is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from penstock.airflow import Airflow, Timetable
from penstock.audit.overview.reasons import Reasons
from penstock.cassandra import Counts, Newest, RunCounts, Store
from penstock.errors import StreamError
from penstock.kafka import Broker, Offsets
from penstock.pipelines.contract import Pipeline

RUNS = 50
"""The newest ones, of which the picture tells."""


@dataclass(frozen=True)
class Counted:
    """Cassandra's counts of a pipeline."""

    positions: Mapping[str, Mapping[int, int]]
    """Identity of a topic -> partition -> last offset that the stream passed."""
    runs: tuple[RunCounts, ...] = ()
    newest: Newest | None = None


@dataclass(frozen=True)
class Held:
    """Kafka's messages of a pipeline; `topic_id` is empty where there is no topic yet."""

    topic_id: str
    spans: Mapping[int, Offsets]
    by_reason: Mapping[str, int]
    letters: int
    """Messages of the dead letters that the reasons are of."""


@dataclass(frozen=True)
class Scheduled:
    """Airflow's plan for a pipeline; `timetable` is None where it does not know the DAG."""

    timetable: Timetable | None
    unhealthy: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """Spark's gauges of a running query."""

    batch_s: float
    rows_per_s: float


def ask_store(store: Store, pipelines: Iterable[Pipeline]) -> dict[str, Counted]:
    """The counts of each pipeline; read only from partitions of our own tables."""
    return {pipeline.name: _counted(Counts(store, pipeline)) for pipeline in pipelines}


def _counted(counts: Counts) -> Counted:
    if not counts.exist():
        return Counted({})
    # In this order: what the stream had passed is among what it had counted.
    positions = counts.positions()
    partitions = {partition for position in positions.values() for partition in position}
    return Counted(positions, tuple(counts.runs(newest=RUNS)), counts.newest_batch(sorted(partitions)))


def ask_broker(broker: Broker, pipelines: Iterable[Pipeline], reasons: Mapping[str, Reasons]) -> dict[str, Held]:
    """`reasons` are those of each pipeline's dead letters."""
    return {pipeline.name: _held(broker, pipeline, reasons[pipeline.name]) for pipeline in pipelines}


def _held(broker: Broker, pipeline: Pipeline, reasons: Reasons) -> Held:
    topic_id = broker.identity(pipeline.topic)
    spans = broker.offsets(pipeline.topic) if topic_id else {}
    letters = broker.identity(pipeline.dead_letter_topic)
    by_reason = reasons.refresh(broker) if letters else {}
    return Held(topic_id, spans, by_reason, reasons.messages)


def ask_airflow(airflow: Airflow, pipelines: Iterable[Pipeline]) -> dict[str, Scheduled]:
    """The plan for each pipeline, and which parts of Airflow are unhealthy."""
    unhealthy = tuple(name.replace("_", "-") for name in airflow.health().unhealthy)
    return {one.name: Scheduled(airflow.timetable(one.schedule.dag_id), unhealthy) for one in pipelines}


def ask_spark(client: httpx.Client, url: str, pipelines: Iterable[Pipeline]) -> dict[str, Query | None]:
    """The driver's gauges for each pipeline; None where no query of it runs.

    Raises:
        StreamError: the driver does not answer.
    """
    try:
        response = client.get(url)
        if response.status_code != HTTPStatus.OK:
            raise StreamError(f"{url} answered {response.status_code} {response.reason_phrase}")
        gauges = response.json()["gauges"]
        return {pipeline.name: _query(gauges, pipeline) for pipeline in pipelines}
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise StreamError(f"{url} gave no gauges of a query: {type(error).__name__}: {error}") from error


def _query(gauges: Mapping[str, Mapping[str, float]], pipeline: Pipeline) -> Query | None:
    """Names end in `.spark.streaming.QUERY.GAUGE`: `MetricsReporter` of Spark 4.2.0."""
    part = f".spark.streaming.{pipeline.name}."
    found = {name.partition(part)[2]: gauge["value"] for name, gauge in gauges.items() if part in name}
    return Query(found["latency"] / 1_000, found["processingRate-total"]) if found else None
