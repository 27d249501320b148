"""What a micro-batch holds, counted while its rows are written: which run, how much, from where to where.

Spark counts by the way (`Dataset.observe`) only what needs no grouping. So runs are told apart by the hash of their
name: as long as no two runs of a batch share one of a few buckets, counting costs no second reading of the topic.
"""

from collections.abc import Iterator, Mapping, Sequence

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.store import Flow, Tally
from penstock.transform import is_replay, item, resolves, run_and_attempt

_BUCKETS = 8


class Counting:
    """Counts one micro-batch, the result of `transform`. Use `watched` once, then ask."""

    def __init__(self, batch: DataFrame, partitions: Sequence[int]) -> None:
        self._batch = batch
        self._partitions = partitions
        self._seen = Observation()

    @property
    def watched(self) -> DataFrame:
        """The batch, which is counted by whatever reads all of it."""
        columns = [
            F.count(F.lit(1)).alias("read"),
            F.count("reason").alias("rejected"),
            F.count(resolves()).alias("resolving"),
            *(column for number in range(_BUCKETS) for column in _bucket(number)),
            *(column for partition in self._partitions for column in _span(partition)),
        ]
        return _with_flows(self._batch).observe(self._seen, *columns)

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

    def flows(self) -> Mapping[Flow, Tally]:
        """Messages of each try of a run, but for replays: what they replay was counted before."""
        found = {}
        for number in range(_BUCKETS):
            if self._count(f"read_{number}"):
                first, last = self._seen.get[f"first_{number}"], self._seen.get[f"last_{number}"]
                if first != last:
                    return self._grouped()
                found[Flow(*first)] = Tally(self._count(f"read_{number}"), self._count(f"rejected_{number}"))
        return found

    def spans(self) -> Mapping[int, tuple[int, int]]:
        """Partition -> first and last offset, where there are any."""
        seen = {
            partition: (self._seen.get[f"from_{partition}"], self._seen.get[f"to_{partition}"])
            for partition in self._partitions
        }
        return {partition: span for partition, span in seen.items() if span[0] is not None}

    def resolved_items(self) -> Iterator[tuple[str, str]]:
        """(run, item) of the messages that resolve a dead letter. Reads the batch again."""
        found = self._batch.where(resolves().isNotNull()).select(
            run_and_attempt()[0].alias("run"), item().alias("item")
        )
        return ((row["run"], row["item"]) for row in found.toLocalIterator())

    def _count(self, name: str) -> int:
        count: int = self._seen.get[name]
        return count

    def _grouped(self) -> Mapping[Flow, Tally]:
        """The same by a second reading."""
        flows = _with_flows(self._batch).where(F.col("flow").isNotNull())
        counted = flows.groupBy("flow").agg(F.count(F.lit(1)).alias("read"), F.count("reason").alias("rejected"))
        return {Flow(*row["flow"]): Tally(row["read"], row["rejected"]) for row in counted.toLocalIterator()}


def _with_flows(batch: DataFrame) -> DataFrame:
    run, attempt = run_and_attempt()
    flow = F.when(~is_replay(), F.struct(run.alias("run"), attempt.alias("attempt")))
    bucket = F.when(F.col("flow").isNotNull(), F.pmod(F.hash("flow"), F.lit(_BUCKETS)))
    return batch.select("*", flow.alias("flow")).select("*", bucket.alias("bucket"))


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


def _span(partition: int) -> tuple[Column, Column]:
    offset = F.when(F.col("origin.partition") == partition, F.col("origin.offset"))
    return F.min(offset).alias(f"from_{partition}"), F.max(offset).alias(f"to_{partition}")
