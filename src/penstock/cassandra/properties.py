"""Properties of the table by which rows or values can disappear, whoever set them, or that are not the declared ones.

Columns, types and key are compared with the declaration by `Store.check_table`. Of these here only the options may be
declared: they count when a table is made, so that one that is there may have others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from penstock.cassandra.options import alteration, other_options
from penstock.cassandra.table import Store
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.cql import in_cql

_TABLE = """
SELECT * FROM system_schema.tables
WHERE keyspace_name = ? AND table_name = ?
"""
_KEYSPACE = "SELECT durable_writes FROM system_schema.keyspaces WHERE keyspace_name = ?"
_DROPPED = """
SELECT column_name, dropped_time FROM system_schema.dropped_columns WHERE keyspace_name = ? AND table_name = ?
"""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Property:
    """One property of a table. `breaks`: rows or values can be lost by it that nobody wanted to lose."""

    name: str
    meaning: str
    remedy: str
    breaks: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.meaning}. {self.remedy}"


def properties(store: Store, pipeline: Pipeline, retention: timedelta) -> list[Property]:
    """The properties that a person should know of, if the table is there; `retention` is the topic's."""
    found = store.execute(_TABLE, (pipeline.keyspace, pipeline.table))
    if not found:
        return []
    [table] = found
    return [
        *_expiry(pipeline, 0 if pipeline.ttl else table["default_time_to_live"]),
        *_grace(pipeline, table["gc_grace_seconds"], retention),
        *_options(pipeline, table),
        *_durability(store, pipeline),
        *_added_again(store, pipeline),
    ]


def _expiry(pipeline: Pipeline, ttl_s: int) -> Iterator[Property]:
    if ttl_s:
        yield Property(
            f"default_time_to_live = {ttl_s}",
            f"a row disappears {_duration(ttl_s)} after it was written. A missing row whose record is older than that "
            "counts as past TTL, not as lost: nobody can tell any more whether it was stored. `penstock rebuild`, or a "
            "stream without its checkpoint, writes such rows again for the same time",
            f"To keep rows: ALTER TABLE {_name(pipeline)} WITH default_time_to_live = 0, which holds for rows written "
            f"from then on; for older ones then TRUNCATE {_name(pipeline)} and `penstock rebuild --from-beginning`.",
        )


def _grace(pipeline: Pipeline, grace_s: int, retention: timedelta) -> Iterator[Property]:
    retention_s = round(retention.total_seconds())
    clears, deletes = pipeline.absent == "clear", bool(pipeline.deleted)
    if (clears or deletes) and grace_s < retention_s:
        what = " or ".join(["cleared a column"] * clears + ["removed its row"] * deletes)
        yield Property(
            f"gc_grace_seconds = {grace_s}",
            f"that a record {what} is remembered for {_duration(grace_s)}, and Kafka keeps messages for "
            f"{_duration(retention_s)}: an older message that is written after that brings its values back",
            f"ALTER TABLE {_name(pipeline)} WITH gc_grace_seconds = {retention_s}, or more; Cassandra's default is "
            "864000.",
        )


def _options(pipeline: Pipeline, table: Mapping[str, Any]) -> Iterator[Property]:
    others = other_options(pipeline, table)
    for name, found in others.items():
        yield Property(
            f"{name} = {found}",
            f"declared is {in_cql(name, pipeline.options[name])}: declared options count when a table is "
            "made, and this one was there",
            f"To have it as declared: {alteration(pipeline, {name: found})}; else declare what it has.",
        )


def _durability(store: Store, pipeline: Pipeline) -> Iterator[Property]:
    if any(row["durable_writes"] is False for row in store.execute(_KEYSPACE, (pipeline.keyspace,))):
        yield Property(
            "durable_writes = false",
            f"keyspace {pipeline.keyspace} has no commit log: a node that is killed loses rows that it acknowledged, "
            "and the stream's checkpoint says that they are stored",
            f"ALTER KEYSPACE {pipeline.keyspace} WITH durable_writes = true.",
            breaks=True,
        )


def _added_again(store: Store, pipeline: Pipeline) -> Iterator[Property]:
    """Cassandra hides the cells of a dropped column by their write time, and ours is that of the source."""
    declared = {column.name for column in pipeline.columns}
    for row in store.execute(_DROPPED, (pipeline.keyspace, pipeline.table)):
        if row["column_name"] in declared:
            yield Property(
                f"column {row['column_name']}",
                f"was dropped at {row['dropped_time'].replace(tzinfo=UTC).isoformat()} and added again: values of "
                "records from before that moment stay hidden, also when they are written again",
                f"To have them: DROP TABLE {_name(pipeline)}, then `penstock rebuild --from-beginning`.",
            )


def _name(pipeline: Pipeline) -> str:
    return f"{pipeline.keyspace}.{pipeline.table}"


def _duration(seconds: int) -> str:
    """E.g. 7 d; in the largest unit of which it is a whole number."""
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size} {unit}"
