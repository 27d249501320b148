"""The peers that are programs of their own: latte, DSBulk, Bento."""

import json
from pathlib import Path
from typing import Any

from bench.dataset import Dataset
from bench.peers import install
from bench.peers.contender import Command, Contender
from bench.place import Place
from penstock.servers.java import find_java

DSBULK_HEAP = "1g"
LEVEL = "LOCAL_QUORUM"
"""Of every contender's writes, as of ours."""


def latte(peers: Path) -> Contender:
    """Single-row INSERTs, 128 in flight: what the plain way gives at most."""
    program = install.latte(peers)

    def command(place: Place, dataset: Dataset, _: Path) -> Command:
        cassandra = place.settings.cassandra
        arguments = (
            *(str(program.path), "run", str(Path(__file__).with_name("latte.rn")), "--quiet"),
            *("--duration", str(dataset.records), "--warmup", "0", "--threads", "1", "--concurrency", "128"),
            *("-P", f'insert="{_insert(dataset)}"', "-P", f'file="{dataset.columns}"'),
            *("--consistency", LEVEL, f"{cassandra.contact_points}:{cassandra.port}"),
        )
        return Command(arguments)

    what = "single-row INSERTs, 128 in flight: the ceiling"
    return Contender("latte", what, install.LATTE, "", command, own_keys=True, absent=program.absent)


def dsbulk(peers: Path) -> Contender:
    """DataStax' loader, from a file."""
    program = install.dsbulk(peers)

    def command(place: Place, dataset: Dataset, folder: Path) -> Command:
        cassandra, pipeline = place.settings.cassandra, dataset.pipeline
        arguments = (
            *("load", "-c", "json", "-url", str(dataset.json_lines), "-k", pipeline.keyspace, "-t", pipeline.table),
            *("-h", cassandra.contact_points, "-port", str(cassandra.port), "-cl", LEVEL),
            *("-logDir", str(folder / "logs"), "--monitoring.console", "false"),
        )
        main = "com.datastax.oss.dsbulk.runner.DataStaxBulkLoader"
        java = find_java(place.settings).runtime / "bin" / "java"
        return Command((str(java), f"-Xmx{DSBULK_HEAP}", "-cp", str(program.path / "*"), main, *arguments))

    what = "DataStax' bulk loader, from a JSON file"
    return Contender("dsbulk", what, install.DSBULK, DSBULK_HEAP, command, absent=program.absent)


def bento(peers: Path, *, tuned: bool) -> Contender:
    """Kafka to Cassandra in Go; tuned means unlogged batches of 64 and 256 of them in flight."""
    program = install.bento(peers)

    def command(place: Place, dataset: Dataset, folder: Path) -> Command:
        config = folder / "bento.json"  # JSON is YAML
        config.write_text(json.dumps(_bento(place, dataset, folder.name, tuned)), "utf-8")
        return Command((str(program.path), "-c", str(config)))

    name = "bento" if tuned else "bento-defaults"
    what = "Kafka to Cassandra, unlogged batches of 64, 256 in flight" if tuned else "Kafka to Cassandra, its defaults"
    return Contender(name, what, install.BENTO, "", command, absent=program.absent)


def _bento(place: Place, dataset: Dataset, group: str, tuned: bool) -> dict[str, Any]:
    cassandra, names = place.settings.cassandra, [column.name for column in dataset.pipeline.columns]
    source: dict[str, Any] = {
        "seed_brokers": [place.settings.kafka.bootstrap_servers],
        "topics": [dataset.pipeline.topic],
        "consumer_group": group,
        # The default waits up to 5 s for more; both get the same, so that the end is not that wait.
        "fetch_max_wait": "100ms",
    }
    sink: dict[str, Any] = {
        "addresses": [f"{cassandra.contact_points}:{cassandra.port}"],
        "query": _insert(dataset),
        "args_mapping": f"root = [{', '.join(f'this.{name}' for name in names)}]",
        "consistency": LEVEL,
    }
    if tuned:
        source |= {"checkpoint_limit": 65_536}
        batching = {"count": 64, "period": "100ms"}
        # Its 600 ms are too short for so much in flight: it would send again what is being written.
        sink |= {"logged_batch": False, "max_in_flight": 256, "batching": batching, "timeout": "30s"}
    return {
        "http": {"enabled": False},
        "logger": {"level": "WARN"},
        "input": {"kafka_franz": source},
        "output": {"cassandra": sink},
    }


def _insert(dataset: Dataset) -> str:
    names = [column.name for column in dataset.pipeline.columns]
    table = f"{dataset.pipeline.keyspace}.{dataset.pipeline.table}"
    marks = ", ".join("?" for _ in names)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names of the declaration
