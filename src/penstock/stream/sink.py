"""The input of the sink in `java/`: one row for each judged message, and the options that say where it goes."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.cassandra import Counts
from penstock.config import Settings
from penstock.pipelines.contract import LONGEST_TTL, Pipeline
from penstock.stream.connectors.kafka import letter_options
from penstock.stream.judge import WRITETIME, deletes, is_replay, item, letter, resolves, run_and_attempt

FORMAT = "penstock.stream.Sink"
PARTITION, OFFSET = "penstock_partition", "penstock_offset"
REJECTED = "penstock_rejected"
LETTER = "penstock_letter"
"""Column with the dead letter or the resolution of a message, null where there is none."""

_PATIENCE_MS = 60_000
"""How long a request that fails is sent again before its task fails, and with it the query."""


def outgoing(transformed: DataFrame, pipeline: Pipeline) -> DataFrame:
    """The result of `judge.transform` as the sink takes it; the order of the columns is that of `java/Columns.java`."""
    run, attempt = run_and_attempt()
    columns: tuple[Column, ...] = (
        F.col("origin.partition").alias(PARTITION),
        F.col("origin.offset").alias(OFFSET),
        run.alias("penstock_run"),
        attempt.alias("penstock_attempt"),
        (~is_replay()).alias("penstock_counted"),
        F.col("reason").isNotNull().alias(REJECTED),
        letter(pipeline).alias(LETTER),
        F.when(resolves().isNotNull(), item()).alias("penstock_resolved_item"),
        deletes(pipeline).alias("penstock_deleted"),
        F.col(WRITETIME),
    )
    return transformed.select(*columns, "record.*")


def sink_options(pipeline: Pipeline, settings: Settings, counts: Counts, batch_bytes: int) -> Mapping[str, str]:
    """The sink's options: where rows, letters and resolutions go, and with which write times. Never for a log.

    The record's time is the cells' write time, so of two versions of a row the newer one wins, in whatever order they
    arrive. An absent value is written as null, a tombstone with that write time, which clears what an older record set;
    where the pipeline keeps absent values it stays unset. Of two records of one key and one millisecond Cassandra
    decides cell by cell: null wins, else the larger value. Of a pipeline with a time to live each row gets what is left
    of it, and one that has none left is not written.
    """
    names = [column.name for column in pipeline.columns]
    keys = pipeline.keys.names
    table, ttl = f"{pipeline.keyspace}.{pipeline.table}", pipeline.ttl
    marks = ", ".join("?" * len(names))
    where = " AND ".join(f"{name} = ?" for name in keys)
    until = " AND TTL ?" if ttl else ""
    return {
        **letter_options(settings.kafka),
        "types": ";".join(column.kind.cql for column in pipeline.columns),
        "keys": ";".join(str(names.index(name)) for name in keys),
        "keyspace": pipeline.keyspace,
        "insert": f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) USING TIMESTAMP ?{until}",  # noqa: S608 - names of the declaration
        "delete": f"DELETE FROM {table} USING TIMESTAMP ? WHERE {where}",  # noqa: S608 - names of the declaration
        "resolve": counts.resolution,
        "topic": pipeline.topic,
        "absent": pipeline.absent,
        "ttl_ms": str(round(ttl.total_seconds() * 1_000) if ttl else 0),
        "longest_ttl_s": str(round(LONGEST_TTL.total_seconds())),
        "consistency": settings.cassandra.consistency_level,
        "request_timeout_ms": str(round(settings.cassandra.request_timeout_s * 1_000)),
        "patience_ms": str(_PATIENCE_MS),
        "batch_bytes": str(batch_bytes),
    }
