"""`penstock run`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings
from penstock.cli.support.values import COUNT

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock run --records 5000"))
@click.option("--records", type=COUNT, default=1_000, show_default=True, help="Users to fetch.")
@with_settings
def run(settings: "Settings", records: int) -> None:
    """Let Airflow run the DAG, show the users and whether every record is accounted for; starts no server."""
    from penstock.cli.support.tour import run as run_pipeline

    run_pipeline(settings, records)
