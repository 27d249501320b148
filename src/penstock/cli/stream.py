"""`penstock stream`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings
from penstock.cli.support.values import NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock --verbose stream --master spark://10.0.0.1:7077"))
@click.option("--master", type=NAME, help="Of Spark, e.g. spark://host:7077, local[2], yarn (PENSTOCK_SPARK_MASTER).")
@with_settings
def stream(settings: "Settings", master: str | None) -> None:
    """Carry records from Kafka into Cassandra with Spark until stopped (Ctrl-C or SIGTERM)."""
    from penstock.cli.support.spark import ready_for_spark
    from penstock.pipelines.contract import load_pipeline
    from penstock.stream import run as carry

    if master:
        settings = settings.model_copy(update={"spark": settings.spark.model_copy(update={"master": master})})
    jars = ready_for_spark(settings)
    carry(settings, load_pipeline(settings.pipeline), jars)
