"""Rows that their records remove: deleted with the record's write time, so that what is newer stays.

For `rebuild`; the stream's own sink deletes by itself. Through `Store`, not the connector, which deletes from Scala
only. Deletions and rows may be written in any order and any number of times: their write times order them.
"""

from collections.abc import Iterator
from typing import Any

from pyspark.sql import DataFrame

from penstock.cassandra import Store
from penstock.errors import StreamError
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import key_of
from penstock.pipelines.record import Rejected, from_bytes
from penstock.stream.judge import WRITETIME


def delete(found: DataFrame, pipeline: Pipeline, store: Store) -> None:
    """Removes the rows of `judge.deletions`; returns when Cassandra has acknowledged it of every one.

    Memory does not grow with them.
    """
    where = " AND ".join(f"{name} = ?" for name in pipeline.keys.names)
    cql = f"DELETE FROM {pipeline.keyspace}.{pipeline.table} USING TIMESTAMP ? WHERE {where}"  # noqa: S608 - names of the declaration
    store.execute_each(cql, _values(found, pipeline))


def _values(found: DataFrame, pipeline: Pipeline) -> Iterator[tuple[Any, ...]]:
    for row in found.toLocalIterator():
        record = from_bytes(pipeline, bytes(row["value"]))
        if isinstance(record, Rejected):
            raise StreamError(
                f"{pipeline.name}: Spark takes a message for a record that removes its row, and Python does not: "
                f"{record.message}. Doing it again does all again."
            )
        key = key_of(pipeline, record)
        yield (row[WRITETIME], *(key if isinstance(key, tuple) else (key,)))
