"""The declared pipeline as a DAG: publish the records, then see them arrive. All names come from the declaration."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task

from penstock.config import read_settings
from penstock.contract import load_pipeline

SETTINGS = read_settings()
PIPELINE = load_pipeline(SETTINGS.pipeline)
SCHEDULE = PIPELINE.schedule

with DAG(
    dag_id=SCHEDULE.dag_id,
    schedule=SCHEDULE.every,
    start_date=SCHEDULE.start,
    catchup=False,
    default_args={"owner": SCHEDULE.owner, "retries": 4, "retry_delay": timedelta(seconds=5)},
    params={"records": Param(SCHEDULE.records, type="integer", minimum=1, description="records to ask for")},
    tags=["penstock"],
    doc_md=f"Records of {PIPELINE.source.url} to the Kafka topic {PIPELINE.topic}.",
):

    @task(task_id=SCHEDULE.task_id, retry_exponential_backoff=3, execution_timeout=timedelta(hours=1))
    def kafka_stream(dag_run: Any, params: dict[str, Any]) -> dict[str, Any]:
        """Fetches the run's records and publishes each; the same run asks for the same records on every try."""
        from penstock.ingest import run_ingest

        moment = dag_run.logical_date or dag_run.run_after
        return run_ingest(SETTINGS, PIPELINE, dag_run.run_id, moment, params["records"]).model_dump()

    @task(execution_timeout=timedelta(hours=1))
    def reconcile(report: dict[str, Any]) -> str:
        from penstock.ledger import wait_until_balanced

        return wait_until_balanced(SETTINGS, PIPELINE, report["run"], limit_s=300).equation()

    reconcile(kafka_stream())
