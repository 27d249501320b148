"""`penstock stream`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings
from penstock.cli.support.values import NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock --verbose stream --master spark://10.0.0.1:7077"))
@click.option("--master", type=NAME, help="Of Spark, e.g. spark://host:7077, local[2], yarn (PENSTOCK_SPARK_MASTER).")
@click.option("--pipeline", "name", metavar="NAME", type=NAME, help="Only this one; all of the project by default.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="A file to keep their states in: JSON.")
@with_settings
def stream(settings: "Settings", master: str | None, name: str | None, report: Path | None) -> None:
    """Carry each pipeline's records from Kafka into Cassandra with Spark until stopped (Ctrl-C or SIGTERM)."""
    from penstock.cli.support.spark import ready_for_spark
    from penstock.pipelines.project import chosen
    from penstock.stream import Options
    from penstock.stream import run as carry

    if master:
        settings = settings.model_copy(update={"spark": settings.spark.model_copy(update={"master": master})})
    if name:
        chosen(settings, name)  # before minutes of downloads
    carry(settings, ready_for_spark(settings), options=Options(name or "", report, at_once=True))
