"""A streaming app without an end: says `batch N` on stdout for each micro-batch. Arguments: master, port of its UI."""

import sys

from pyspark.sql import DataFrame, SparkSession


def say(batch: DataFrame, number: int) -> None:
    # Counted by a task: a batch is said only after an executor did something for it.
    print(f"batch {number}: {batch.repartition(1).count()}", flush=True)  # noqa: T201 - stdout is how it is watched


master, page_port = sys.argv[1:]
session = (
    SparkSession.builder.master(master)
    .config("spark.ui.port", page_port)
    .config("spark.driver.memory", "512m")
    .config("spark.executor.memory", "512m")
    .config("spark.sql.streaming.metricsEnabled", "true")
    .getOrCreate()
)
rows = session.readStream.format("rate").load()
rows.writeStream.foreachBatch(say).trigger(processingTime="500 milliseconds").start().awaitTermination()
