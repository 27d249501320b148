"""`penstock users`."""

import json
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_pipeline, with_settings
from penstock.cli.support.values import COUNT

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock users --limit 5", "penstock users --json | jq .email"))
@click.option("--limit", type=COUNT, default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
@with_pipeline
def users(settings: "Settings", pipeline: "Pipeline", limit: int, as_json: bool) -> None:
    """Show rows of the table."""
    from penstock.cassandra import Store
    from penstock.pipelines.types import told
    from penstock.views.console import out
    from penstock.views.rows import rows_table

    with Store(settings.cassandra) as store:
        rows = [row.values for row in store.any_rows(pipeline, limit)]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False, default=told))
    else:
        out.print(rows_table(rows, pipeline))
