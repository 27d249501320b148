"""`penstock preview`."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_interval, with_pipeline, with_settings
from penstock.cli.support.values import COUNT

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock preview", "penstock preview --from 2026-11-01 --to 2026-11-02 --limit 20"))
@click.option("--limit", type=COUNT, default=5, show_default=True, help="Items to look at.")
@with_interval
@click.option("--json", "as_json", is_flag=True, help="One JSON object an item.")
@with_settings
@with_pipeline
def preview(
    settings: "Settings", pipeline: "Pipeline", limit: int, ends: tuple[datetime, datetime] | None, as_json: bool
) -> None:
    """Ask the API, of yesterday by default, and show its first items as rows, or why they are none.

    Needs no server and publishes nothing.
    """
    from penstock.pipelines.types import told
    from penstock.preview import first_items
    from penstock.source import Interval, yesterday
    from penstock.views.preview import as_object, show

    interval = Interval(ends[0], *ends) if ends else yesterday(datetime.now(UTC))
    look = first_items(settings, pipeline, interval, limit)
    if as_json:
        for one in look.seen:
            click.echo(json.dumps(as_object(one, pipeline), ensure_ascii=False, default=told))
    else:
        show(look, pipeline)
