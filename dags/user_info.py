"""The declared pipeline as a DAG: publish a run's records, in every attempt the same ones, then see them arrive."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, Param, RetryAction, RetryRule, task

from penstock.config import read_settings
from penstock.pipelines.contract import load_pipeline

SETTINGS = read_settings()
PIPELINE = load_pipeline(SETTINGS.pipeline)
FOR_GOOD = RetryRule([f"penstock.errors.{name}Error" for name in ("Config", "Contract", "Topic")], RetryAction.FAIL)
RETRIES = {"retries": 4, "retry_delay": timedelta(seconds=5), "retry_policy": ExceptionRetryPolicy([FOR_GOOD])}
RECORDS = {"type": "integer", "minimum": 1, "maximum": PIPELINE.source.most_records, "description": "records to fetch"}
with DAG(
    dag_id=PIPELINE.schedule.dag_id,
    schedule=PIPELINE.schedule.every,
    start_date=PIPELINE.schedule.start,
    catchup=False,
    default_args={"owner": PIPELINE.schedule.owner, **RETRIES},
    params={"records": Param(PIPELINE.schedule.records, **RECORDS)},
    tags=["penstock"],
    doc_md=f"Fetches {PIPELINE.name} into the Kafka topic {PIPELINE.topic}, and sees them arrive in the table.",
):

    @task(task_id=PIPELINE.schedule.task_id, retry_exponential_backoff=3, execution_timeout=timedelta(hours=1))
    def kafka_stream(dag_run: Any) -> dict[str, Any]:
        from penstock.ingest import records_asked, run_ingest

        asked = dag_run.run_id, dag_run.logical_date or dag_run.run_after, records_asked(PIPELINE, dag_run.conf)
        return run_ingest(SETTINGS, PIPELINE, *asked).model_dump()

    @task(execution_timeout=timedelta(hours=1))
    def reconcile(report: dict[str, Any]) -> str:
        from penstock.audit.ledger import wait_until_balanced

        return wait_until_balanced(SETTINGS, PIPELINE, report["run"], timeout_s=300).equation()

    reconcile(kafka_stream())
