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
    from penstock.pipelines.contract import From, Pipeline, Record, Schedule, Text
    from penstock.source import (
        ApiKey,
        Basic,
        Bearer,
        Columns,
        Cursor,
        Generated,
        Link,
        NextUrl,
        OAuth2ClientCredentials,
        Offset,
        Page,
        PerSecond,
        Source,
    )

__all__ = [
    "ApiKey",
    "Basic",
    "Bearer",
    "Columns",
    "Cursor",
    "From",
    "Generated",
    "Link",
    "NextUrl",
    "OAuth2ClientCredentials",
    "Offset",
    "Page",
    "PenstockError",
    "PerSecond",
    "Pipeline",
    "Record",
    "Schedule",
    "Source",
    "Text",
]

_PLACES = {
    "PenstockError": "penstock.errors",
    **dict.fromkeys(("From", "Pipeline", "Record", "Schedule", "Text"), "penstock.pipelines.contract"),
}
"""Where a public name is; `penstock.source` has the rest."""


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: parts of us run before any package is installed."""
    if name not in __all__:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, "penstock.source")), name)
