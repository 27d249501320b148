"""Cassandra: is it there, of a version that is known to work, with copies enough, and is the table the declared one."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from penstock.cassandra import Store, properties
from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.doctor.versions import CASSANDRA, Line
from penstock.errors import StoreError
from penstock.pipelines.contract import Pipeline

_LOCAL = "SELECT release_version, data_center FROM system.local"
_PEERS = "SELECT data_center FROM system.peers"
_KEYSPACE = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?"


def cassandra(settings: Settings, pipeline: Pipeline, line: Line = CASSANDRA) -> Iterator[Finding]:
    """Checks a Cassandra that runs: its version, its nodes, the pipeline's table."""
    try:
        with Store(settings.cassandra) as store:
            [local] = store.execute(_LOCAL, ())
            if not line.allows(local["release_version"]):
                yield line.judged("cassandra", local["release_version"])
                return
            yield from _nodes(store, local, settings, pipeline)
            yield _table(store, pipeline)
            yield from _properties(store, settings, pipeline)
    except StoreError as error:
        yield failed("cassandra", str(error), "Compare cassandra.username, datacenter and ssl… with the cluster's")


def _nodes(store: Store, local: Mapping[str, Any], settings: Settings, pipeline: Pipeline) -> Iterator[Finding]:
    here = settings.cassandra.datacenter
    nodes = [local["data_center"], *(row["data_center"] for row in store.execute(_PEERS, ()))].count(here)
    yield fine("cassandra", f"{local['release_version']}, {nodes} node(s) in {here}")
    found = store.execute(_KEYSPACE, (pipeline.keyspace,))
    wanted = settings.cassandra.replication_factor
    copies = int(found[0]["replication"].get(here, 0)) if found else wanted
    if copies > nodes:
        yield failed(
            "cassandra replication",
            f"keyspace {pipeline.keyspace} asks for {copies} copies in {here}, which has {nodes} node(s): "
            f"{settings.cassandra.consistency_level} cannot be met once {copies // 2 + 1} are needed",
            f"PENSTOCK_CASSANDRA_REPLICATION_FACTOR={nodes} for a new keyspace; ALTER KEYSPACE for one that is there",
        )
    elif copies < wanted:
        yield failed(
            "cassandra replication",
            f"keyspace {pipeline.keyspace} has {copies} copies in {here}, "
            f"cassandra.replication_factor asks for {wanted}",
            "ALTER KEYSPACE … WITH replication, then nodetool repair; or ask for what it has",
        )


def _table(store: Store, pipeline: Pipeline) -> Finding:
    subject = f"table {pipeline.keyspace}.{pipeline.table}"
    if not store.has_table(pipeline.keyspace, pipeline.table):
        return note(subject, "is not there yet; `penstock stream` makes it")
    if added := store.addable(pipeline):
        return note(subject, f"lacks {', '.join(added)}, which is optional; `penstock stream` adds what it lacks")
    try:
        store.check_table(pipeline)
    except StoreError as error:
        return failed(subject, str(error), "ALTER TABLE, change the declaration, or name another table in it")
    return fine(subject, "is the declared one")


def _properties(store: Store, settings: Settings, pipeline: Pipeline) -> Iterator[Finding]:
    for each in properties(store, pipeline, timedelta(hours=settings.kafka.retention_hours)):
        subject = f"table {pipeline.keyspace}.{pipeline.table}: {each.name}"
        yield (failed if each.breaks else note)(subject, each.meaning, each.remedy)
