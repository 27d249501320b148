"""`penstock run`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_pipeline, with_settings
from penstock.cli.support.values import COUNT

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock run --records 5000"))
@click.option("--records", type=COUNT, help="Records to fetch; the declaration's number by default.")
@with_settings
@with_pipeline
def run(settings: "Settings", pipeline: "Pipeline", records: int | None) -> None:
    """Let Airflow run the DAG, show the users and whether every record is accounted for; starts no server."""
    from penstock.cli.support.tour import run as run_pipeline

    run_pipeline(settings, pipeline, records)
