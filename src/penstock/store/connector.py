"""How Spark writes the table: every option of the Spark Cassandra Connector that we set, in one place.

Names and defaults: https://github.com/datastax/spark-cassandra-connector/blob/v3.5.1/doc/reference.md
"""

from pyspark.sql import DataFrame

from penstock.config import CassandraSettings
from penstock.contract import Pipeline
from penstock.transform import WRITETIME

# Measured with the users pipeline: docs/decisions/041-how-spark-writes.md
_WRITE = {
    # Rows of one replica set share an unlogged batch: a third of Cassandra's work per row is the request.
    "spark.cassandra.output.batch.grouping.key": "replica_set",
    # Counted in bytes, so that no batch meets a server's limit (50 KiB by default, `batch_size_fail_threshold`);
    # a larger row goes alone, to which that limit does not apply.
    "spark.cassandra.output.batch.size.bytes": str(16 * 1024),
    "spark.cassandra.output.concurrent.writes": "8",
    # Absent values stay unset; a null would be a tombstone.
    "spark.cassandra.output.ignoreNulls": "true",
}


def write(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    """Upserts the rows of `transform.good`; returns when Cassandra has acknowledged every one.

    The message's time is the cells' write time, so of two versions of a row the newer message wins, in whatever order
    they arrive. An absent value stays unset: it leaves no tombstone, and does not clear what an older message set.
    """
    (
        good.write.format("org.apache.spark.sql.cassandra")
        .mode("append")
        .options(keyspace=pipeline.keyspace, table=pipeline.table, writetime=WRITETIME)
        .options(**_WRITE)
        .option("spark.cassandra.output.consistency.level", settings.consistency_level)
        .save()
    )


def spark_conf(settings: CassandraSettings) -> dict[str, str]:
    """How driver and executors reach Cassandra. Holds the password: for the session only, never for a log."""
    log_in = {
        "spark.cassandra.auth.username": settings.username,
        "spark.cassandra.auth.password": settings.password.get_secret_value(),
    }
    return {
        "spark.cassandra.connection.host": settings.contact_points,
        "spark.cassandra.connection.port": str(settings.port),
        "spark.cassandra.connection.localDC": settings.datacenter,
        # Spark's own redaction hides what ends in "password" from its pages.
        **(log_in if settings.username else {}),
        "spark.cassandra.connection.timeoutMS": str(round(settings.request_timeout_s * 1_000)),
        # A node that restarts is found again within seconds, not a minute.
        "spark.cassandra.connection.reconnectionDelayMS.max": "5000",
    }
