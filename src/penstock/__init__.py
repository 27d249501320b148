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
    from penstock.pipelines.keys import Desc, Key
    from penstock.pipelines.times import EpochMillis, EpochSeconds, Format, Iso8601, Rfc2822
    from penstock.pipelines.types import Int32, IPAddress, JsonText

__all__ = [
    "Desc",
    "EpochMillis",
    "EpochSeconds",
    "Format",
    "From",
    "IPAddress",
    "Int32",
    "Iso8601",
    "JsonText",
    "Key",
    "PenstockError",
    "Pipeline",
    "Record",
    "Rfc2822",
    "Schedule",
    "Source",
    "Text",
]

_CONTRACT, _TIMES, _TYPES = (f"penstock.pipelines.{name}" for name in ("contract", "times", "types"))
_PLACES = {
    "Desc": "penstock.pipelines.keys",
    "EpochMillis": _TIMES,
    "EpochSeconds": _TIMES,
    "Format": _TIMES,
    "From": _CONTRACT,
    "IPAddress": _TYPES,
    "Int32": _TYPES,
    "Iso8601": _TIMES,
    "JsonText": _TYPES,
    "Key": "penstock.pipelines.keys",
    "PenstockError": "penstock.errors",
    "Pipeline": _CONTRACT,
    "Record": _CONTRACT,
    "Rfc2822": _TIMES,
    "Schedule": _CONTRACT,
    "Source": _CONTRACT,
    "Text": _CONTRACT,
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: parts of us run before any package is installed."""
    if name not in _PLACES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
