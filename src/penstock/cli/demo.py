"""`penstock demo`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_pipeline, with_settings, with_stack
from penstock.cli.support.values import COUNT

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock demo --records 5000", "penstock demo --secure"))
@click.option("--records", type=COUNT, help="Records to fetch; the declaration's number by default.")
@with_stack
@with_settings
@with_pipeline
def demo(settings: "Settings", pipeline: "Pipeline", records: int | None) -> None:
    """Start the stack, let Airflow run the DAG, show the users and whether every record is accounted for."""
    from penstock.cli.support.tour import demo as tour

    tour(settings, pipeline, records)
