"""`penstock ingest`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings
from penstock.cli.support.values import COUNT, LOGICAL_DATE, NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock ingest --records 200 --logical-date 2025-03-12T14:30:00Z"))
@click.option("--records", type=COUNT, help="Records to fetch; the declaration's number by default.")
@click.option(
    "--logical-date",
    type=LOGICAL_DATE,
    help="ISO 8601, in UTC unless it names a zone; the same date fetches the same records. Now by default.",
)
@click.option("--run-id", type=NAME, help="Name of the run in the headers and the ledger; made of the date by default.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@with_settings
def ingest(
    settings: "Settings", records: int | None, logical_date: datetime | None, run_id: str | None, as_json: bool
) -> None:
    """Fetch records from the API and publish them to Kafka: what the DAG's task does."""
    from penstock.ingest import run_ingest
    from penstock.pipelines.contract import load_pipeline
    from penstock.views.progress import record_bar

    pipeline = load_pipeline(settings.pipeline)
    date = logical_date or datetime.now(UTC).replace(microsecond=0)
    wanted = pipeline.source.asked(records or pipeline.schedule.records)
    with record_bar(f"{pipeline.topic}: publishing", wanted) as advance:
        report = run_ingest(settings, pipeline, run_id or f"manual__{date.isoformat()}", date, wanted, advance)
    if as_json:
        click.echo(report.model_dump_json())
    else:
        click.echo(report.sentence())
