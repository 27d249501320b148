"""`penstock check`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock check", "PENSTOCK_PIPELINE=orders:ORDERS penstock check"))
@with_settings
def check(settings: "Settings") -> None:
    """Say whether the declaration is sound, with the line that is not. Asks no API and no server."""
    from penstock.pipelines.contract import load_pipeline
    from penstock.preview import check as check_source
    from penstock.source import yesterday

    pipeline = load_pipeline(settings.pipeline)
    address = check_source(settings, pipeline, yesterday(datetime.now(UTC)))
    click.echo(
        f"pipeline {pipeline.name} is sound: {len(pipeline.columns)} fields from {address} to topic {pipeline.topic} "
        f"and table {pipeline.keyspace}.{pipeline.table}. See its first rows: penstock preview"
    )
