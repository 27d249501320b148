"""A pipeline with a key of several columns and a column of every type, as a module that a process can load."""

import os
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from penstock import Desc, From, Int32, IPAddress, JsonText, Key, Pipeline, Record
from penstock.users import USERS


class Quake(Record):
    """One earthquake as one station saw it."""

    station: Annotated[str, From("station")]
    day: Annotated[date, From("day")]
    time: Annotated[datetime, From("time")]
    id: Annotated[UUID, From("id")]
    size: Annotated[Decimal | None, From("size")] = None
    felt: Annotated[Int32 | None, From("felt")] = None
    reports: Annotated[int | None, From("reports")] = None
    depth: Annotated[float | None, From("depth")] = None
    final: Annotated[bool | None, From("final")] = None
    source: Annotated[IPAddress | None, From("source")] = None
    wave: Annotated[bytes | None, From("wave")] = None
    steps: Annotated[list[str] | None, From("steps")] = None
    tags: Annotated[set[str] | None, From("tags")] = None
    labels: Annotated[dict[str, str] | None, From("labels")] = None
    shape: Annotated[JsonText | None, From("shape")] = None
    gone: Annotated[datetime | None, From("gone")] = None


NAME = os.environ.get("QUAKES", "quakes")
QUAKES = Pipeline(
    **{name: getattr(USERS, name) for name in Pipeline.model_fields}
    | {
        "name": "quakes",
        "record": Quake,
        "key": Key(partition=("station", "day"), clustering=(Desc("time"), "id")),
        "topic": NAME,
        "table": NAME,
        "deleted": "gone",
        "ttl": timedelta(days=3),
        "options": {"compaction": {"class": "TimeWindowCompactionStrategy"}, "gc_grace_seconds": 864_000},
    }
)
