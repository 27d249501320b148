"""`penstock rows`."""

import json
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_pipeline, with_settings
from penstock.cli.support.values import COUNT, KEY

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(
    epilog=example("penstock rows --limit 5", "penstock rows --json | jq .email", "penstock rows berlin 2025-03-12")
)
@click.argument("key", nargs=-1, type=KEY)
@click.option("--limit", type=COUNT, default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
@with_pipeline
def rows(settings: "Settings", pipeline: "Pipeline", key: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Show rows of the table: some, or those of a KEY. Of a key of several columns, say those of the partition or more,
    each by itself, or the whole key as it is shown elsewhere.
    """
    from penstock.cassandra import Store
    from penstock.pipelines.identity import read_beginning
    from penstock.pipelines.types import told
    from penstock.views.console import err, out
    from penstock.views.rows import rows_table

    try:
        values = read_beginning(pipeline, key)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="KEY") from error
    with Store(settings.cassandra) as store:
        found = [row.values for row in store.any_rows(pipeline, limit, values)]
    if as_json:
        for row in found:
            click.echo(json.dumps(row, ensure_ascii=False, default=told))
    elif found:
        out.print(rows_table(found, pipeline))
    else:
        err.print(f"{pipeline.keyspace}.{pipeline.table} has no {'such row' if key else 'rows'}", highlight=False)
