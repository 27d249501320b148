"""How Spark writes the table: every option of the Spark Cassandra Connector that we set, in one place.

Names and defaults: https://github.com/datastax/spark-cassandra-connector/blob/v3.5.1/doc/reference.md
"""

from datetime import timedelta
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.cassandra.table import Store
from penstock.config import CassandraSettings
from penstock.network import tls
from penstock.pipelines.contract import LONGEST_TTL, Column, Pipeline
from penstock.stream.judge import WRITETIME

_TTL = "penstock_ttl"
"""Column of what is written: seconds, for Cassandra's `USING TTL`."""

# Measured with the users pipeline: docs/decisions/041-how-spark-writes.md, 152-batches-as-large-as-the-nodes-take.md
_BATCH = "spark.cassandra.output.batch.size.bytes"
_LARGE_BATCH_BYTES = 96 * 1024
_USUAL_LIMIT_BYTES = 50 * 1024
"""Cassandra's default of `batch_size_fail_threshold`, for a node that does not say its own."""
_WRITE = {
    # Rows of one replica set share an unlogged batch: a third of Cassandra's work per row is the request.
    "spark.cassandra.output.batch.grouping.key": "replica_set",
    "spark.cassandra.output.concurrent.writes": "8",
}

# What a node counts of a batch beside the values, `dataSize` of AbstractCell, BTreeRow and PartitionUpdate in Cassandra
# 5.0.9: each cell, cleared ones too, with write time, time to live and time of deletion; each row with its own.
_CELL_BYTES, _ROW_BYTES = 20, 64
_WRITETIME_BYTES = 8

# The connector's own two have no forward secrecy and no TLS 1.3.
_CIPHERS = (
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    *(f"TLS_ECDHE_{key}_WITH_AES_{bits}" for key in ("ECDSA", "RSA") for bits in ("256_GCM_SHA384", "128_GCM_SHA256")),
)


def write(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    """Upserts the rows of `transform.good`; returns when Cassandra has acknowledged every one.

    Write times, absent values and times to live are those of the stream's own sink: see `sink.sink_options`.
    """
    lives = _with_milliseconds(good if pipeline.ttl is None else _with_ttl(good, pipeline.ttl), pipeline)
    (
        lives.write.format("org.apache.spark.sql.cassandra")
        .mode("append")
        .options(keyspace=pipeline.keyspace, table=pipeline.table, writetime=WRITETIME)
        .options(**({} if pipeline.ttl is None else {"ttl": _TTL}))
        .options(**_meaning(pipeline))
        .option("spark.cassandra.output.consistency.level", settings.consistency_level)
        .save()
    )


def _with_milliseconds(good: DataFrame, pipeline: Pipeline) -> DataFrame:
    """Times as Cassandra has them. The connector takes Spark's through `java.sql.Timestamp`, whose calendar is another
    one before 1582: those of 1500 would be stored nine days late.
    """
    times = [column.name for column in pipeline.columns if column.cql == "timestamp"]
    return good.withColumns({name: F.unix_millis(name) for name in times})


def _with_ttl(good: DataFrame, ttl: timedelta) -> DataFrame:
    """The rows that have time left, and how much: so a row disappears at one moment, however often it is written.

    In whole seconds, as Cassandra counts, and never too few. The executor's clock is asked for each row, and not
    Spark's `current_timestamp`, a constant, for which each micro-batch would have its plan compiled anew.
    """
    now_ms = F.expr("reflect('java.lang.System', 'currentTimeMillis')").cast("bigint")
    left_s = F.ceil((F.col(WRITETIME) / 1_000 + ttl / timedelta(milliseconds=1) - now_ms) / 1_000) + 1
    longest_s = round(LONGEST_TTL.total_seconds())
    return good.withColumn(_TTL, F.least(left_s, F.lit(longest_s)).cast("int")).where(F.col(_TTL) > 1)


def _meaning(pipeline: Pipeline) -> dict[str, str]:
    """Options that decide what stands in the table, and not how fast; so `spark.conf` cannot change them."""
    return {
        "spark.cassandra.output.ignoreNulls": str(pipeline.absent == "keep").lower(),
        "spark.cassandra.output.ttl": "0",
        "spark.cassandra.output.ifNotExists": "false",
    }


def batch_conf(store: Store, pipeline: Pipeline) -> dict[str, str]:
    """The connector's option that makes its batches as large as `batch_limit`."""
    return {_BATCH: str(batch_limit(store, pipeline))}


def batch_limit(store: Store, pipeline: Pipeline) -> int:
    """Bytes of a batch's values: as many as the nodes take, up to where more gains nothing."""
    limit_bytes = store.batch_limit_bytes() or _USUAL_LIMIT_BYTES
    return min(_LARGE_BATCH_BYTES, batch_bytes(pipeline, limit_bytes))


def batch_bytes(pipeline: Pipeline, limit_bytes: int) -> int:
    """How large a batch may be by its values, so that no node counts more than `limit_bytes`.

    The connector and our sink count the values alone, for an absent one nothing. So the smallest possible row decides:
    of it a node counts how many times more. A row that is larger than the result goes alone, which has no limit.
    """
    values = sum(_least_bytes(column) for column in pipeline.columns if column.required)
    by_node = values + _CELL_BYTES * len(pipeline.columns) + _ROW_BYTES
    return limit_bytes * (_WRITETIME_BYTES + values) // by_node


def _least_bytes(column: Column) -> int:
    """A text has one byte a character, or more."""
    return column.min_length if column.kind.least_bytes is None else column.kind.least_bytes


def spark_conf(settings: CassandraSettings, folder: Path) -> dict[str, str]:
    """How driver and executors reach Cassandra and write. Holds the password: for the session only, never for a log.

    Java's stores are written into `folder`; an executor elsewhere needs them under the same path.
    """
    credentials = {
        "spark.cassandra.auth.username": settings.username,
        "spark.cassandra.auth.password": settings.password.get_secret_value(),
    }
    return {
        **_WRITE,
        "spark.cassandra.connection.host": settings.contact_points,
        "spark.cassandra.connection.port": str(settings.port),
        "spark.cassandra.connection.localDC": settings.datacenter,
        # Spark's own redaction hides what ends in "password" from its pages.
        **(credentials if settings.username else {}),
        **(_tls(settings, folder) if settings.ssl else {}),
        "spark.cassandra.input.consistency.level": settings.consistency_level,
        "spark.cassandra.connection.timeoutMS": str(round(settings.request_timeout_s * 1_000)),
        # A node that restarts is found again within seconds, not a minute.
        "spark.cassandra.connection.reconnectionDelayMS.max": "5000",
    }


def _tls(settings: CassandraSettings, folder: Path) -> dict[str, str]:
    options = {"ssl.enabled": "true", "ssl.enabledAlgorithms": ",".join(_CIPHERS)}
    if settings.ssl_ca_location:
        path, password = tls.java_trust_store(settings.ssl_ca_location, folder)
        options |= {"ssl.trustStore.path": str(path), "ssl.trustStore.password": password}
    key_password = settings.ssl_key_password.get_secret_value()
    who = tls.identity(settings.ssl_certificate_location, settings.ssl_key_location, key_password)
    if who:
        path, password = tls.java_key_store(who, folder)
        options |= {"ssl.clientAuth.enabled": "true", "ssl.keyStore.path": str(path), "ssl.keyStore.password": password}
    if settings.ssl_hostname_verification:
        options["factory"] = "penstock.stream.VerifyingConnectionFactory"
    return {f"spark.cassandra.connection.{name}": value for name, value in options.items()}
