"""The declared pipeline as a DAG: publish what the API has for a run's interval, then see it arrive."""

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
from penstock.pipelines.contract import load_pipeline

SETTINGS = read_settings()
PIPELINE = load_pipeline(SETTINGS.pipeline)
SCHEDULE, MOST = PIPELINE.schedule, PIPELINE.source.most_records
FINAL = RetryRule(
    [f"penstock.errors.{name}Error" for name in ("Config", "Contract", "Topic", "Rejected")], RetryAction.FAIL
)
RETRIES = {"retries": 4, "retry_delay": timedelta(seconds=5), "retry_policy": ExceptionRetryPolicy([FINAL])}
RECORDS = {"type": "integer", "minimum": 1, "maximum": MOST, "description": "records to fetch"}


def timetable() -> Any:
    """A source that asks for the interval between two dates of the schedule gets it, here and in a backfill."""
    every = SCHEDULE.every
    if isinstance(every, timedelta):
        return DeltaDataIntervalTimetable(every)
    return CronDataIntervalTimetable(every, timezone="UTC") if every and PIPELINE.source.needs_interval else every


with DAG(
    dag_id=SCHEDULE.dag_id,
    schedule=timetable(),
    start_date=SCHEDULE.start,
    catchup=SCHEDULE.catchup,
    max_active_runs=SCHEDULE.max_active_runs,
    default_args={"owner": SCHEDULE.owner, **RETRIES},
    params={"records": Param(PIPELINE.source.asked(), **RECORDS)} if MOST else {},
    tags=["penstock"],
    doc_md=f"Fetches {PIPELINE.name} into the Kafka topic {PIPELINE.topic}, and sees them arrive in the table.",
):

    @task(task_id=SCHEDULE.task_id, retry_exponential_backoff=3, execution_timeout=timedelta(hours=1))
    def kafka_stream(dag_run: Any) -> dict[str, Any]:
        from airflow.sdk import Connection

        from penstock.ingest import records_asked, run_ingest
        from penstock.source import Interval

        date = dag_run.logical_date or dag_run.run_after
        interval = Interval(date, dag_run.data_interval_start, dag_run.data_interval_end)
        asked = dag_run.run_id, interval, records_asked(PIPELINE, dag_run.conf)
        password = lambda name: Connection.get(name).password  # noqa: E731 - it is read when a secret names it
        return run_ingest(SETTINGS, PIPELINE, *asked, connection=password).model_dump()

    @task(execution_timeout=timedelta(hours=1))
    def reconcile(report: dict[str, Any]) -> str:
        from penstock.audit.ledger import wait_until_balanced

        return wait_until_balanced(SETTINGS, PIPELINE, report["run"], timeout_s=300).equation()

    published = kafka_stream()
    reconcile(published)
    if lag := SCHEDULE.lag:
        from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor

        # By default a sensor gives up after a week.
        TimeDeltaSensor(task_id="lag", delta=lag, timeout=lag + timedelta(days=1), mode="reschedule") >> published
