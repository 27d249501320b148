"""Waits until acknowledged writes are on Cassandra's disk, before anything is committed that relies on them."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import Any

from penstock.cassandra.table import Store
from penstock.errors import StoreError
from penstock.pipelines.contract import Pipeline

TABLE = "penstock_synced"
"""Made by `Counts.ensure`; holds one row, which says nothing."""

_WRITE = "INSERT INTO {keyspace}.penstock_synced (id) VALUES (?)"
_STARTS = "SELECT host_id, gossip_generation FROM system.local"
_never = Event()


@contextmanager
def durable(store: Store, pipeline: Pipeline) -> Iterator[None]:
    """When the block ends without an error, every write that was acknowledged in it survives kill -9 of the node.

    That holds for the writes of all clients, e.g. of Spark's executors.

    The node holds every write back until a sync of the commit log has begun less than `cassandra.commit_log_lag_ms`
    before it. So the acknowledgement of one that starts that much after the last of the block proves that they are on
    the disk, unless the node was killed and came back in between, which is looked for. `docs/decisions/151`.

    Raises:
        StoreError: it did come back, or cannot be reached: what was in the block must be done again.
    """
    before = starts(store)
    yield
    confirm(store, pipeline, before)


def confirm(store: Store, pipeline: Pipeline, before: Mapping[Any, int]) -> None:
    """Returns when what was acknowledged since `before`, which `starts` gave, is on the disk; raises as `durable`."""
    lag_s = store.commit_log_lag_s
    if not lag_s:
        return
    until_s = time.monotonic() + lag_s
    while (left_s := until_s - time.monotonic()) > 0:
        _never.wait(left_s)
    store.execute(_WRITE.format(keyspace=pipeline.keyspace), (0,))
    for node, start in starts(store).items():
        if before.get(node, start) != start:
            raise StoreError(
                f"cassandra node {node} was started again while rows were written to {pipeline.table}: the last ones "
                "before may be lost. Nothing was committed; they are to be written again."
            )


def starts(store: Store) -> Mapping[Any, int]:
    """Node -> a number that grows with each of its starts; of the node that answered."""
    return {row["host_id"]: row["gossip_generation"] for row in store.execute(_STARTS, ())}
