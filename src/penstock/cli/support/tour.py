"""The tour that `scripts/demo` gives: start everything, let Airflow run the DAG, show the users and the equation.

All but the start works on any Airflow, Kafka and Cassandra of the settings. It never calls the pipeline behind
Airflow's back: the run is triggered through Airflow's API, and what it shows comes from Airflow, Kafka and Cassandra.
"""

from datetime import UTC, datetime

from penstock.airflow import Airflow
from penstock.audit import ledger
from penstock.cli.support.start import start
from penstock.config import Settings
from penstock.errors import LedgerError
from penstock.ingest import IngestReport
from penstock.pipelines.contract import Pipeline
from penstock.servers.access import as_principal
from penstock.servers.principals import Principal
from penstock.servers.secrets import with_credentials
from penstock.views.console import err, out
from penstock.views.progress import record_bar, spinner
from penstock.views.rows import rows_table
from penstock.views.services import show_pages_and_credentials

NEWEST = 8
"""Users shown at the end."""
PARSE_TIMEOUT_S = 120
RUN_TIMEOUT_S = 3_600
SETTLE_TIMEOUT_S = 3_600
PROVE_TIMEOUT_S = 300


def demo(settings: Settings, pipeline: Pipeline, records: int | None) -> None:
    """One run of the pipeline from the start of the servers to the balance; raises as `run`.

    `records` is for an API that is asked for a number of them.
    """
    pipeline.source.asked(records)  # before minutes of waiting for servers
    state = start(settings)
    run(as_principal(settings, Principal.OPERATOR), pipeline, records)
    show_pages_and_credentials(state, settings)


def run(settings: Settings, pipeline: Pipeline, records: int | None) -> None:
    """One run of the pipeline on servers that are up, from Airflow's trigger to the balance.

    Raises:
        ConfigError: the API cannot be asked for so many records.
        ScheduleError: Airflow could not run the DAG, or the run failed.
        LedgerError: the records did not all arrive, or the counts do not balance.
    """
    report = _run_dag(settings, pipeline, pipeline.source.asked(records))
    balance = _settle(settings, pipeline, report)
    err.print(f"\nThe newest of {pipeline.keyspace}.{pipeline.table}:")
    out.print(rows_table(ledger.newest(settings, pipeline, NEWEST), pipeline))
    proved = _prove(settings, pipeline, balance)
    out.print(proved.equation(report.fetched))
    for each in ledger.properties_of_the_table(settings, pipeline) if proved.past_ttl else ():
        text = f"table {pipeline.keyspace}.{pipeline.table}: {each}"
        err.print(text, markup=False, highlight=False, soft_wrap=True)


def _run_dag(settings: Settings, pipeline: Pipeline, records: int | None) -> IngestReport:
    schedule = pipeline.schedule
    with Airflow(with_credentials(settings)) as airflow, spinner("Airflow") as say:
        say(f"Airflow reads the DAG {schedule.dag_id}")
        airflow.wait_until_parsed(schedule.dag_id, PARSE_TIMEOUT_S)
        airflow.unpause(schedule.dag_id)
        run_id = airflow.trigger(schedule.dag_id, datetime.now(UTC), {} if records is None else {"records": records})
        airflow.wait(schedule.dag_id, run_id, lambda run: say(f"Airflow: {run}"), RUN_TIMEOUT_S)
        report = airflow.result(schedule.dag_id, run_id, schedule.task_id)
    return IngestReport.model_validate(report)


def _settle(settings: Settings, pipeline: Pipeline, report: IngestReport) -> ledger.Balance:
    title = f"Spark carries the run into {pipeline.keyspace}.{pipeline.table}"
    with record_bar(title, report.fetched) as advance:
        return ledger.wait_until_balanced(
            settings, pipeline, report.run, SETTLE_TIMEOUT_S, lambda account: advance(account.settled)
        )


def _prove(settings: Settings, pipeline: Pipeline, balance: ledger.Balance) -> ledger.Account:
    """What the counts say must be what the data say: each of the run's rows is compared with its message."""
    proved = ledger.wait_until_settled(settings, pipeline, balance.account.run, PROVE_TIMEOUT_S)
    if balance.fetched is None or not proved.balances(balance.fetched) or proved.settled != balance.account.settled:
        fetched = balance.fetched or 0
        difference = f"the counts say {balance.equation()}, the data say {proved.equation(fetched)}"
        raise LedgerError(f"run {proved.run} does not balance: {difference}")
    return proved
