"""Penstock carries records from an HTTP API into Cassandra, and accounts for every one of them.

    HTTP API ──► source ──► record ──► Kafka topic ──► Spark ──► judge ──► Cassandra table
                  └────── ingest ─────┘                └──── stream ────┘
                      (Airflow task)                   what is no record ──► dead letters

What a declaration of a pipeline needs is imported from here: `from penstock import From, Pipeline, Record, …`.
Everything else is internal and may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.errors import PenstockError
    from penstock.pipelines.contract import From, Pipeline, Record, Schedule, Source, Text

__all__ = ["From", "PenstockError", "Pipeline", "Record", "Schedule", "Source", "Text"]

_CONTRACT = "penstock.pipelines.contract"
_PLACES = {
    "From": _CONTRACT,
    "PenstockError": "penstock.errors",
    "Pipeline": _CONTRACT,
    "Record": _CONTRACT,
    "Schedule": _CONTRACT,
    "Source": _CONTRACT,
    "Text": _CONTRACT,
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: parts of us run before any package is installed."""
    if name not in _PLACES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
