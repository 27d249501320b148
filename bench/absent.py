"""What it costs to clear absent columns: the same rows written with absent values kept and cleared, by one Spark.

Only the way into Cassandra is measured, in which alone the two differ: no Kafka, no judging of messages.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from bench import numbers
from bench.dataset import Dataset
from bench.peers.contender import STOP_TIMEOUT_S
from bench.place import Place
from penstock.servers import jars
from penstock.servers.java import find_java
from penstock.servers.spark import driver_environment
from penstock.stream.app import session
from penstock.stream.connectors.cassandra import batch_conf, write
from penstock.stream.failures import FOREIGN
from penstock.stream.judge import WRITETIME

MODES = ("keep", "clear")
_CORES = 2
# A cold node on a busy machine lets writes time out; such a run counts for nothing and is made again.
_measured = Retrying(
    retry=retry_if_exception_type(FOREIGN), stop=stop_after_attempt(5), wait=wait_fixed(5), reraise=True
)


def rounds(place: Place, datasets: dict[str, Dataset], count: int) -> dict[str, list[dict[str, Any]]]:
    """Each data set in each mode, forth and back; everyone once before, which does not count."""
    runs = {f"{name}-{mode}": (dataset, mode) for name, dataset in datasets.items() for mode in MODES}
    outcomes: dict[str, list[dict[str, Any]]] = {}
    with _local_spark(place) as spark:
        for label, name, counts in numbers.turns(list(runs), count, list(runs)):
            outcome = _measured(_written, place, spark, *runs[name])
            print(f"{label:8} {name:12} {outcome}", flush=True)
            if counts:
                outcomes.setdefault(name, []).append(outcome)
    return outcomes


def _written(place: Place, spark: SparkSession, dataset: Dataset, mode: str) -> dict[str, Any]:
    """From an empty table to the check of all rows. `wrong` is empty where the run counts."""
    place.empty_table()
    pipeline = dataset.pipeline.model_copy(update={"absent": mode})
    rows = spark.read.schema(pipeline.spark_ddl()).json(str(dataset.json_lines)).coalesce(_CORES)
    at_us = time.time_ns() // 1_000_000 * 1_000
    cassandra, driver = place.processes()["cassandra"], psutil.Process()
    before_us = _cpu_us(cassandra), _cpu_us(*driver.children(recursive=True))
    began_s = time.monotonic()
    write(rows.withColumn(WRITETIME, F.lit(at_us)), pipeline, place.settings.cassandra)
    seconds = time.monotonic() - began_s
    after_us = _cpu_us(cassandra), _cpu_us(*driver.children(recursive=True))
    each = [round((after - before) / dataset.records, 1) for before, after in zip(before_us, after_us, strict=True)]
    return {
        "wrong": dataset.expected().difference(place.read_back(dataset.records)),
        "rate": round(dataset.records / seconds),
        "cassandra_cpu_us": each[0],
        "spark_cpu_us": each[1],
    }


def _cpu_us(*processes: psutil.Process) -> float:
    times = [process.cpu_times() for process in processes]
    return 1e6 * sum(each.user + each.system for each in times)


@contextmanager
def _local_spark(place: Place) -> Iterator[SparkSession]:
    settings = place.settings
    os.environ.update(driver_environment(settings, find_java(settings)))
    spark = settings.spark.model_copy(update={"master": f"local[{_CORES}]", "conf": {"spark.ui.enabled": "false"}})
    alone = settings.model_copy(update={"spark": spark})
    before = set(psutil.Process().children(recursive=True))
    opened = session(alone, place.pipeline.app_name, jars.classpath(alone, "spark"))
    for name, value in batch_conf(place.store, place.pipeline).items():
        opened.conf.set(name, value)
    try:
        yield opened
    finally:
        opened.stop()
        # Its JVM would end with this process only, and live in a home that is gone.
        ours = set(psutil.Process().children(recursive=True)) - before
        for process in ours:
            process.terminate()
        psutil.wait_procs(ours, STOP_TIMEOUT_S)
