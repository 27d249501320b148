"""`penstock ingest`: the DAG's first task by hand."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, needs_kafka, with_interval, with_pipeline, with_settings
from penstock.cli.support.values import COUNT, LOGICAL_DATE, NAME

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline
    from penstock.source import Interval


@click.command(
    epilog=example(
        "penstock ingest --records 200 --logical-date 2025-03-12T14:30:00Z",
        "penstock ingest --from 2026-11-01 --to 2026-12-01",
    )
)
@click.option("--records", type=COUNT, help="Records to fetch; the declaration's number by default.")
@with_interval
@click.option(
    "--logical-date",
    type=LOGICAL_DATE,
    help="The same date fetches the same records. The begin of the interval by default, else now.",
)
@click.option(
    "--run-id", type=NAME, help="Name of the run in the headers and the ledger; made of the dates by default."
)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@with_settings
@with_pipeline
@needs_kafka
def ingest(
    settings: "Settings",
    pipeline: "Pipeline",
    records: int | None,
    ends: tuple[datetime, datetime] | None,
    logical_date: datetime | None,
    run_id: str | None,
    as_json: bool,
) -> None:
    """Fetch records from the API and publish them to Kafka: what the DAG's task does."""

    from penstock.ingest import run_ingest
    from penstock.source import Interval
    from penstock.views.progress import record_bar

    start, end = ends or (None, None)
    interval = Interval(logical_date or start or datetime.now(UTC).replace(microsecond=0), start, end)
    wanted = pipeline.source.asked(records)
    with record_bar(f"{pipeline.topic}: publishing", wanted) as advance:
        report = run_ingest(settings, pipeline, run_id or _name(interval), interval, wanted, advance)
    if as_json:
        click.echo(report.model_dump_json())
    else:
        click.echo(report.sentence())


def _name(interval: "Interval") -> str:
    """The same dates give the same run."""
    until = f"__{interval.end.isoformat()}" if interval.end else ""
    return f"manual__{(interval.start or interval.logical_date).isoformat()}{until}"
