"""Which container of compose.yaml uses which server, and which it could reach: those that share a network with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

COMPOSE: Mapping[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "compose.yaml").read_text("utf-8"))
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]

_STORES = ("broker", "cassandra")
USES: Mapping[str, tuple[str, ...]] = {
    "postgres": (),
    "broker": ("zookeeper",),
    "zookeeper": ("broker",),  # it is a part of Kafka, and could be reached by nobody who cannot reach it
    "cassandra": (),
    "spark-master": ("spark-worker", "stream"),
    "spark-worker": ("spark-master", "stream", *_STORES),
    "stream": ("spark-master", "spark-worker", *_STORES),
    "simulator": (),
    "console": ("stream", "airflow-webserver", *_STORES),
    "airflow-webserver": ("postgres",),
    "scheduler": ("postgres", "airflow-webserver", "simulator", *_STORES),
    "dag-processor": ("postgres", "airflow-webserver"),
    "triggerer": ("postgres", "airflow-webserver"),
    "penstock": ("stream", "spark-master", "spark-worker", "airflow-webserver", "simulator", *_STORES),
    "authority": (),
    "admission": _STORES,
}
"""Container -> the servers that it calls."""
SERVERS = sorted({server for used in USES.values() for server in used})
CLOSED = ("postgres", *_STORES, "zookeeper", "spark-master", "simulator")
"""Servers that nobody else may reach: they keep data, or run what they are given, or need nobody."""


def networks(name: str) -> set[str]:
    return {*SERVICES[name].get("networks", ())}


def reached(name: str) -> set[str]:
    """The servers that share a network with this container."""
    return {other for other in SERVERS if other != name and networks(name) & networks(other)}


def table(found: Mapping[str, set[str]]) -> str:
    """Of what each container reaches, in Markdown."""
    head = f"| from | {' | '.join(f'`{one}`' for one in SERVERS)} |\n|---|{'---|' * len(SERVERS)}"
    rows = [
        f"| `{name}` | {' | '.join(_word(name, one, reaches) for one in SERVERS)} |" for name, reaches in found.items()
    ]
    return "\n".join([head, *rows])


def _word(name: str, server: str, reaches: set[str]) -> str:
    if server not in reaches:
        return "–"
    return "uses" if server in USES[name] else "could"
