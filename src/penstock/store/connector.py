"""How Spark writes the table: every option of the Spark Cassandra Connector that we set, in one place.

Names and defaults: https://github.com/datastax/spark-cassandra-connector/blob/v3.5.1/doc/reference.md
"""

from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from penstock import tls
from penstock.config import CassandraSettings
from penstock.contract import Pipeline
from penstock.store.table import Store
from penstock.transform import WRITETIME

# Measured with the users pipeline: docs/decisions/041-how-spark-writes.md, 152-batches-as-large-as-the-nodes-take.md
_BATCH = "spark.cassandra.output.batch.size.bytes"
_SMALL_BATCH_BYTES, _LARGE_BATCH_BYTES = 12 * 1024, 96 * 1024
# A node counts a batch with its cells' write times, 8 bytes each, the connector their values alone.
_NODES_COUNT = 4
_WRITE = {
    # Rows of one replica set share an unlogged batch: a third of Cassandra's work per row is the request.
    "spark.cassandra.output.batch.grouping.key": "replica_set",
    # Counted in bytes, so that no batch meets the limit of a node whose limit is not known (50 KiB by default); a
    # larger row goes alone, to which that limit does not apply.
    _BATCH: str(_SMALL_BATCH_BYTES),
    "spark.cassandra.output.concurrent.writes": "8",
    # Absent values stay unset; a null would be a tombstone.
    "spark.cassandra.output.ignoreNulls": "true",
}

# The connector's own two have no forward secrecy and no TLS 1.3.
_CIPHERS = (
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    *(f"TLS_ECDHE_{key}_WITH_AES_{bits}" for key in ("ECDSA", "RSA") for bits in ("256_GCM_SHA384", "128_GCM_SHA256")),
)


def write(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    """Upserts the rows of `transform.good`; returns when Cassandra has acknowledged every one.

    The message's time is the cells' write time, so of two versions of a row the newer message wins, in whatever order
    they arrive. An absent value stays unset: it leaves no tombstone, and does not clear what an older message set.
    """
    (
        good.write.format("org.apache.spark.sql.cassandra")
        .mode("append")
        .options(keyspace=pipeline.keyspace, table=pipeline.table, writetime=WRITETIME)
        .option("spark.cassandra.output.consistency.level", settings.consistency_level)
        .save()
    )


def batch_conf(store: Store) -> dict[str, str]:
    """Batches as large as the nodes take them, up to where more gains nothing."""
    limit = store.batch_limit_bytes()
    return {_BATCH: str(min(_LARGE_BATCH_BYTES, limit // _NODES_COUNT))} if limit else {}


def forget_sessions(spark: SparkSession) -> None:
    """Has the driver open a new session with Cassandra when it next needs one.

    After a failure, before another attempt: when a node is lost while its driver reads the schema, that session never
    reads a schema again, and the connector would wait for it without end
    (https://github.com/scylladb/java-driver/issues/841, the same code as in the driver 4.18.1).
    """
    jvm: Any = spark._jvm
    jvm.com.datastax.spark.connector.cql.CassandraConnector.evictCache()


def spark_conf(settings: CassandraSettings, folder: Path) -> dict[str, str]:
    """How driver and executors reach Cassandra and write. Holds the password: for the session only, never for a log.

    Java's stores are written into `folder`; an executor elsewhere needs them under the same path.
    """
    log_in = {
        "spark.cassandra.auth.username": settings.username,
        "spark.cassandra.auth.password": settings.password.get_secret_value(),
    }
    return {
        **_WRITE,
        "spark.cassandra.connection.host": settings.contact_points,
        "spark.cassandra.connection.port": str(settings.port),
        "spark.cassandra.connection.localDC": settings.datacenter,
        # Spark's own redaction hides what ends in "password" from its pages.
        **(log_in if settings.username else {}),
        **(_tls(settings, folder) if settings.ssl else {}),
        "spark.cassandra.connection.timeoutMS": str(round(settings.request_timeout_s * 1_000)),
        # A node that restarts is found again within seconds, not a minute.
        "spark.cassandra.connection.reconnectionDelayMS.max": "5000",
    }


def _tls(settings: CassandraSettings, folder: Path) -> dict[str, str]:
    options = {"enabled": "true", "enabledAlgorithms": ",".join(_CIPHERS)}
    if settings.ssl_ca_location:
        path, password = tls.java_trust_store(settings.ssl_ca_location, folder)
        options |= {"trustStore.path": str(path), "trustStore.password": password}
    key_password = settings.ssl_key_password.get_secret_value()
    who = tls.identity(settings.ssl_certificate_location, settings.ssl_key_location, key_password)
    if who:
        path, password = tls.java_key_store(who, folder)
        options |= {"clientAuth.enabled": "true", "keyStore.path": str(path), "keyStore.password": password}
    return {f"spark.cassandra.connection.ssl.{name}": value for name, value in options.items()}
