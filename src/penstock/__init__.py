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
    from penstock.pipelines.flags import Is
    from penstock.pipelines.keys import Desc, Key
    from penstock.pipelines.times import EpochMillis, EpochSeconds, Format, Iso8601, Rfc2822
    from penstock.pipelines.types import Int32, IPAddress, JsonText
    from penstock.source import (
        ApiKey,
        Ask,
        Basic,
        Bearer,
        Body,
        Columns,
        Cursor,
        FirstPage,
        Generated,
        Header,
        Link,
        NextUrl,
        OAuth2ClientCredentials,
        Offset,
        One,
        Page,
        PerSecond,
        Seen,
        Source,
    )

__all__ = [
    "ApiKey",
    "Ask",
    "Basic",
    "Bearer",
    "Body",
    "Columns",
    "Cursor",
    "Desc",
    "EpochMillis",
    "EpochSeconds",
    "FirstPage",
    "Format",
    "From",
    "Generated",
    "Header",
    "IPAddress",
    "Int32",
    "Is",
    "Iso8601",
    "JsonText",
    "Key",
    "Link",
    "NextUrl",
    "OAuth2ClientCredentials",
    "Offset",
    "One",
    "Page",
    "PenstockError",
    "PerSecond",
    "Pipeline",
    "Record",
    "Rfc2822",
    "Schedule",
    "Seen",
    "Source",
    "Text",
]

_PLACES = {
    "PenstockError": "penstock.errors",
    **dict.fromkeys(("From", "Pipeline", "Record", "Schedule", "Text"), "penstock.pipelines.contract"),
    "Is": "penstock.pipelines.flags",
    **dict.fromkeys(("Desc", "Key"), "penstock.pipelines.keys"),
    **dict.fromkeys(("EpochMillis", "EpochSeconds", "Format", "Iso8601", "Rfc2822"), "penstock.pipelines.times"),
    **dict.fromkeys(("IPAddress", "Int32", "JsonText"), "penstock.pipelines.types"),
}
"""Where a public name is; `penstock.source` has the rest."""


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for: parts of us run before any package is installed."""
    if name not in __all__:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    return getattr(import_module(_PLACES.get(name, "penstock.source")), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
