"""Spark within a command: beside the stream's cluster, which has its cores for itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from penstock.config import Settings
from penstock.errors import StreamError
from penstock.stream.app import EXECUTOR_JVM, session
from penstock.stream.failures import FOREIGN, first_cause

# What a JVM says of itself would stand before the command's result, which others read.
_JVM = f"{EXECUTOR_JVM} -Xlog:disable -Xlog:all=warning:stderr"


def alone(settings: Settings) -> Settings:
    """The same settings without a cluster: the driver gets the slots and the heap of an executor."""
    spark = {
        "master": f"local[{settings.spark.executor_cores or settings.kafka.partitions}]",
        "conf": {"spark.driver.extraJavaOptions": _JVM, **settings.spark.conf, "spark.ui.enabled": "false"},
    }
    heaps = {"spark_driver": settings.heaps.spark_executor}
    return settings.model_copy(
        update={
            "spark": settings.spark.model_copy(update=spark),
            "heaps": settings.heaps.model_copy(update=heaps),
        }
    )


@contextmanager
def spark_alone(
    settings: Settings, doing: str, name: str, jars: Sequence[Path], conf: Mapping[str, str]
) -> Iterator[SparkSession]:
    """Spark as an application of that name, ended at the end; `settings` are those of `alone`. What the settings say of
    Spark's options goes before `conf`.

    Raises:
        StreamError: Spark could not be started, or what the block asked of it failed.
    """
    try:
        spark = session(settings, name, jars)
        try:
            for option, value in conf.items():
                if option not in settings.spark.conf:
                    spark.conf.set(option, value)
            yield spark
        finally:
            spark.stop()
    except FOREIGN as error:
        raise StreamError(f"{doing}: Spark ended: {first_cause(error)}") from error
