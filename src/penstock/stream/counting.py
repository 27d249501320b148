"""Counts a micro-batch while its rows are written: the messages of each run, and those that are rejected.

Spark counts by the way (`Dataset.observe`) only what needs no grouping. So runs are told apart by the hash of their
name: as long as no two runs of a batch share a bucket, counting costs no second reading of the topic.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.cassandra import Flow, Tally
from penstock.stream.judge import is_replay, item, resolves, run_and_attempt

_BUCKETS = 2
_COUNTED = "counted"


def with_flows(transformed: DataFrame) -> DataFrame:
    """Adds to the result of `transform` the columns by which messages are counted: their flow, and its bucket."""
    run, attempt = run_and_attempt()
    flow = F.when(~is_replay(), F.struct(run.alias("run"), attempt.alias("attempt")))
    bucket = F.when(F.col("flow").isNotNull(), F.pmod(F.hash("flow"), F.lit(_BUCKETS)))
    return transformed.select("*", flow.alias("flow")).select("*", bucket.alias("bucket"))


def counted(deletes: Column | None = None) -> Column:
    """What is counted of a micro-batch; `deletes` says of a row whether it removes one.

    One column for all micro-batches: to make it is hundreds of calls into the JVM. And it is JSON, which comes out of
    the JVM in half a millisecond where a row in a row takes 45.
    """
    counts = (
        F.count(F.lit(1)).alias("read"),
        F.count("reason").alias("rejected"),
        F.count(resolves()).alias("resolving"),
        F.count_if(F.lit(False) if deletes is None else deletes).alias("deleting"),
        *(column for number in range(_BUCKETS) for column in _bucket(number)),
    )
    return F.to_json(F.struct(*counts)).alias(_COUNTED)


class Counting:
    """Counts one micro-batch of `with_flows`. Use `watched` once, then ask."""

    def __init__(self, batch: DataFrame, what: Column) -> None:
        """`what` is `counted`."""
        self._batch = batch
        self._what = what
        self._observation = Observation()

    @property
    def watched(self) -> DataFrame:
        """The batch, which is counted by whatever reads all of it."""
        return self._batch.observe(self._observation, self._what)

    @property
    def read(self) -> int:
        """Messages. This and what follows wait until all of `watched` was read."""
        return self._count("read")

    @property
    def rejected(self) -> int:
        """Messages that become dead letters."""
        return self._count("rejected")

    @property
    def resolving(self) -> int:
        """Messages that resolve a dead letter."""
        return self._count("resolving")

    @property
    def deleting(self) -> int:
        """Messages that remove a row."""
        return self._count("deleting")

    def flows(self) -> Mapping[Flow, Tally]:
        """Messages of each attempt of a run, but for replays: what they replay was counted before."""
        found = {}
        for number in range(_BUCKETS):
            if self._count(f"read_{number}"):
                first, last = self._seen[f"first_{number}"], self._seen[f"last_{number}"]
                if first != last:
                    return self._grouped()
                found[Flow(**first)] = Tally(self._count(f"read_{number}"), self._count(f"rejected_{number}"))
        return found

    def resolved_items(self) -> Iterator[tuple[str, str]]:
        """(run, item) of the messages that resolve a dead letter. Reads the batch again."""
        found = self._batch.where(resolves().isNotNull()).select(
            run_and_attempt()[0].alias("run"), item().alias("item")
        )
        return ((row["run"], row["item"]) for row in found.toLocalIterator())

    @cached_property
    def _seen(self) -> Mapping[str, Any]:
        """Without what is null."""
        seen: Mapping[str, Any] = json.loads(self._observation.get[_COUNTED])
        return seen

    def _count(self, name: str) -> int:
        count: int = self._seen[name]
        return count

    def _grouped(self) -> Mapping[Flow, Tally]:
        """The same by a second reading."""
        flows = self._batch.where(F.col("flow").isNotNull())
        counted = flows.groupBy("flow").agg(F.count(F.lit(1)).alias("read"), F.count("reason").alias("rejected"))
        return {Flow(*row["flow"]): Tally(row["read"], row["rejected"]) for row in counted.toLocalIterator()}


def _bucket(number: int) -> tuple[Column, ...]:
    """How many messages, how many rejected, and of which flows: if the first is the last, of one."""

    def inside(value: str | Column) -> Column:
        return F.when(F.col("bucket") == number, F.col(value) if isinstance(value, str) else value)

    return (
        F.count(inside("flow")).alias(f"read_{number}"),
        F.count(inside("reason")).alias(f"rejected_{number}"),
        F.min(inside("flow")).alias(f"first_{number}"),
        F.max(inside("flow")).alias(f"last_{number}"),
    )
