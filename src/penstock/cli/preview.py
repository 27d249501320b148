"""`penstock preview`."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings
from penstock.cli.support.values import COUNT, LOGICAL_DATE

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock preview", "penstock preview --from 2026-11-01 --to 2026-11-02 --limit 20"))
@click.option("--limit", type=COUNT, default=5, show_default=True, help="Items to look at.")
@click.option(
    "--from", "start", type=LOGICAL_DATE, help="Begin of the data interval; yesterday's by default. ISO 8601, UTC."
)
@click.option("--to", "end", type=LOGICAL_DATE, help="Its end, which is no part of it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an item.")
@with_settings
def preview(settings: "Settings", limit: int, start: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Ask the API and show its first items as rows, or why they are none. Needs no server and publishes nothing."""
    from penstock.pipelines.contract import load_pipeline
    from penstock.pipelines.types import told
    from penstock.preview import first_items
    from penstock.source import Interval, yesterday
    from penstock.views.preview import as_object, show

    if (start is None) != (end is None):
        raise click.UsageError("a data interval has two ends: give both --from and --to.")
    pipeline = load_pipeline(settings.pipeline)
    interval = Interval(start, start, end) if start else yesterday(datetime.now(UTC))
    look = first_items(settings, pipeline, interval, limit)
    if as_json:
        for one in look.seen:
            click.echo(json.dumps(as_object(one), ensure_ascii=False, default=told))
    else:
        show(look, pipeline)
