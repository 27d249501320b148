"""`penstock trace`."""

import json
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, needs_kafka, with_pipeline, with_settings
from penstock.cli.support.values import KEY

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock trace ali@example.com", "penstock trace 9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"))
@click.argument("wanted", metavar="ID|EMAIL", type=KEY)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@with_settings
@with_pipeline
@needs_kafka
def trace(settings: "Settings", pipeline: "Pipeline", wanted: str, as_json: bool) -> None:
    """Where one record is: fetched by which run, its messages in Kafka, its micro-batch, its row, its dead letters."""
    from dataclasses import asdict

    from penstock.audit.trace import trace as search
    from penstock.kafka import Broker
    from penstock.pipelines.types import told
    from penstock.views.progress import record_bar
    from penstock.views.trace import show_trace

    with Broker(settings.kafka) as broker:
        messages = sum(span.end - span.first for span in broker.offsets(pipeline.topic).values())
    with record_bar(f"{pipeline.topic}: searching", messages) as show_progress:
        found = search(settings, pipeline, wanted, on_progress=show_progress)
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False, default=told))
    else:
        show_trace(found, pipeline)
