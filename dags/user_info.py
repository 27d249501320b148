"""Each declared pipeline as a DAG: publish what the API has for a run's interval, then see it arrive."""

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import (
    DAG,
    CronDataIntervalTimetable,
    DeltaDataIntervalTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    task,
)

from penstock.config import read_settings
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import declarations

SETTINGS = read_settings()
FINAL = RetryRule(
    [f"penstock.errors.{name}Error" for name in ("Config", "Contract", "Topic", "Rejected")], RetryAction.FAIL
)
RETRIES = {"retries": 4, "retry_delay": timedelta(seconds=5), "retry_policy": ExceptionRetryPolicy([FINAL])}


def timetable(pipeline: Pipeline) -> Any:
    """A source that asks for the interval between two dates of the schedule gets it, here and in a backfill."""
    every = pipeline.schedule.every
    if isinstance(every, timedelta):
        return DeltaDataIntervalTimetable(every)
    return CronDataIntervalTimetable(every, timezone="UTC") if every and pipeline.source.needs_interval else every


def parameters(pipeline: Pipeline) -> dict[str, Param]:
    most = pipeline.source.most_records
    records = {"type": "integer", "minimum": 1, "maximum": most, "description": "records to fetch"}
    return {"records": Param(pipeline.source.asked(), **records)} if most else {}


def dag(pipeline: Pipeline) -> DAG:
    schedule = pipeline.schedule
    with DAG(
        dag_id=schedule.dag_id,
        schedule=timetable(pipeline),
        start_date=schedule.start,
        catchup=schedule.catchup,
        max_active_runs=schedule.max_active_runs,
        default_args={"owner": schedule.owner, **RETRIES},
        params=parameters(pipeline),
        tags=["penstock"],
        doc_md=f"Fetches {pipeline.name} into the Kafka topic {pipeline.topic}, and sees them arrive in the table.",
    ) as made:

        @task(task_id=schedule.task_id, retry_exponential_backoff=3, execution_timeout=timedelta(hours=1))
        def kafka_stream(dag_run: Any) -> dict[str, Any]:
            from airflow.sdk import Connection

            from penstock.ingest import records_asked, run_ingest
            from penstock.source import Interval

            date = dag_run.logical_date or dag_run.run_after
            interval = Interval(date, dag_run.data_interval_start, dag_run.data_interval_end)
            asked = dag_run.run_id, interval, records_asked(pipeline, dag_run.conf)
            password = lambda name: Connection.get(name).password  # noqa: E731 - it is read when a secret names it
            return run_ingest(SETTINGS, pipeline, *asked, connection=password).model_dump()

        @task(execution_timeout=timedelta(hours=1))
        def reconcile(report: dict[str, Any]) -> str:
            from penstock.audit.ledger import wait_until_balanced

            return wait_until_balanced(SETTINGS, pipeline, report["run"], timeout_s=300).equation()

        published = kafka_stream()
        reconcile(published)
        if schedule.lag:
            from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor

            # By default a sensor gives up after a week.
            limits = {"delta": schedule.lag, "timeout": schedule.lag + timedelta(days=1)}
            TimeDeltaSensor(task_id="lag", **limits, mode="reschedule") >> published
    return made


FOUND = declarations(SETTINGS)
DAGS = [dag(each.pipeline) for each in FOUND if each.pipeline]
for broken in (each.error for each in FOUND if each.error):
    if not DAGS:
        raise broken  # Airflow shows it as this file's error; beside others it would take their DAGs along
    logging.getLogger(__name__).error("%s", broken)
