"""The two that run on Spark: ours as it is shipped, and the tutorials' code."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from bench.dataset import Dataset
from bench.peers.contender import Command, Contender
from bench.place import Place
from penstock.config import Settings
from penstock.servers import apps, jars
from penstock.servers.jars.locked import version_of
from penstock.servers.java import find_java
from penstock.servers.spark import SCALA, driver_environment

Offsets = Literal["earliest", "latest"]
_CONNECTOR = version_of("spark", f"spark-cassandra-connector_{SCALA}")
_VERSIONS = f"Spark {version('pyspark')}, connector {_CONNECTOR}"


def ours(settings: Settings, starting_offsets: Offsets = "earliest") -> Contender:
    """`penstock stream`: validation, dead letters, write times and ledger on."""

    def command(place: Place, dataset: Dataset, folder: Path) -> Command:
        spark = place.settings.spark.model_copy(
            update={"checkpoint": str(folder / "checkpoint"), "starting_offsets": starting_offsets}
        )
        changed = place.settings.model_copy(update={"spark": spark, "pipelines": (reference(dataset),)})
        service = apps.stream(changed, find_java(changed))
        service.prepare()
        return Command(service.command, service.environment)

    heaps = f"driver {settings.heaps.spark_driver}, executor {settings.heaps.spark_executor}"
    what = "the shipped pipeline: validation, dead letters, write times and ledger"
    return Contender("ours", what, _VERSIONS, heaps, command)


def tutorial(settings: Settings, starting_offsets: Offsets = "earliest") -> Contender:
    """Connector defaults. The driver's heap is Spark's default; the executor has as much as ours, and both cores."""

    def command(place: Place, dataset: Dataset, folder: Path) -> Command:
        now, pipeline = place.settings, dataset.pipeline
        given = {
            "kafka": now.kafka.bootstrap_servers,
            "topic": pipeline.topic,
            "starting_offsets": starting_offsets,
            "checkpoint": str(folder / "checkpoint"),
            "keyspace": pipeline.keyspace,
            "table": pipeline.table,
            "spark": _options(now),
        }
        program = Path(__file__).with_name("tutorial_app.py")
        return Command((sys.executable, str(program), json.dumps(given)), driver_environment(now, find_java(now)))

    heaps = f"driver 1g, executor {settings.heaps.spark_executor}"
    what = "the tutorials' Spark code, bugs fixed, connector defaults"
    return Contender("tutorial", what, _VERSIONS, heaps, command)


def reference(dataset: Dataset) -> str:
    """Where the other process finds the data set's pipeline."""
    return f"bench.pipelines:{dataset.pipeline.topic.upper()}"


def _options(settings: Settings) -> dict[str, str]:
    return {
        "spark.master": settings.spark.master,
        "spark.jars": ",".join(map(str, jars.classpath(settings, "spark"))),
        # A worker of the local stack offers more task slots than there are cores.
        "spark.cores.max": str(os.cpu_count()),
        "spark.executor.memory": settings.heaps.spark_executor,
        "spark.driver.host": settings.hosts.stream,
        "spark.ui.port": str(settings.ports.spark_driver_ui),
        "spark.cassandra.connection.host": settings.cassandra.contact_points,
        "spark.cassandra.connection.port": str(settings.cassandra.port),
    }
