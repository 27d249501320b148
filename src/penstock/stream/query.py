"""The query of one stream, through its failures and its changes of mode, until it is told to stop."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from py4j.protocol import Py4JNetworkError
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from penstock.errors import BrokerError, PenstockError, StalledError, StoreError
from penstock.stream.connectors.cassandra import batch_limit
from penstock.stream.connectors.kafka import source_options
from penstock.stream.epochs import Epochs
from penstock.stream.failures import ended, failure_of, first_cause, is_final, is_full
from penstock.stream.judge import transform
from penstock.stream.mode import Behind, Mode, Modes
from penstock.stream.planning import optimized
from penstock.stream.progress import checkpoint, clear_uncommitted, clear_unfinished
from penstock.stream.sink import FORMAT, outgoing, sink_options
from penstock.stream.stall import Watch

log = logging.getLogger(__name__)

ATTEMPTS = 10
"""How often in a row the query is started while Cassandra or Kafka fails, with pauses of 55 s in all; then the app
ends, and a restart goes on from the checkpoint. Counted, not timed: on a busy machine one attempt may take minutes.
"""
LOOK_S = 0.2
_LONGEST_PAUSE_S = 10.0


def start(spark: SparkSession, epochs: Epochs, mode: Mode, **trigger: Any) -> StreamingQuery:
    """The running query. Topics and table must exist. `trigger` is the mode's unless given."""
    pipeline, settings = epochs.pipeline, epochs.settings
    place = checkpoint(settings, pipeline)
    if mode is Mode.REAL_TIME:
        clear_uncommitted(spark, place)
    clear_unfinished(spark, place)
    _register(spark, epochs)
    options = sink_options(pipeline, settings, epochs.resources.counts, batch_limit(epochs.resources.store, pipeline))
    judged = outgoing(transform(_messages(spark, epochs, mode), pipeline), pipeline)
    with optimized(epochs.seams.rows(judged)) as rows:
        query = (
            rows.writeStream.queryName(pipeline.name)
            .format(FORMAT)
            .options(**epochs.seams.options(options))
            .option("name", pipeline.name)
            .option("checkpointLocation", place)
            .outputMode("update")
            .trigger(**(trigger or _trigger(epochs, mode)))
            .start()
        )
    epochs.follow(spark, str(query.id))
    log.info("%s: reading %s, %s, checkpoint %s", pipeline.name, pipeline.topic, mode, place)
    return query


def _messages(spark: SparkSession, epochs: Epochs, mode: Mode) -> Any:
    settings = epochs.settings
    # An epoch is bounded by its time.
    limit = {"maxOffsetsPerTrigger": str(settings.spark.max_records_per_batch)} if mode is Mode.MICRO_BATCH else {}
    return (
        spark.readStream.format("kafka")
        .options(**source_options(settings.kafka), **limit)
        .option("subscribe", epochs.pipeline.topic)
        .option("startingOffsets", settings.spark.starting_offsets)
        .option("failOnDataLoss", "true")
        .option("includeHeaders", "true")
        .load()
    )


def _trigger(epochs: Epochs, mode: Mode) -> Mapping[str, str]:
    spark = epochs.settings.spark
    if mode is Mode.REAL_TIME:
        return {"realTime": f"{round(spark.epoch_s * 1_000)} milliseconds"}
    return {"processingTime": f"{spark.trigger_interval_ms} milliseconds"}


def _register(spark: SparkSession, epochs: Epochs) -> None:
    """Lets the sink, which is in the driver's JVM, find these epochs."""
    jvm: Any = spark.sparkContext._jvm
    getattr(jvm.penstock.stream, "Epochs$Registry").register(epochs.pipeline.name, epochs)


def _jobs(spark: SparkSession, query: StreamingQuery) -> Collection[int]:
    """The active jobs of this query: Spark groups them by the run of it."""
    tracker = spark.sparkContext.statusTracker()
    return set(tracker.getActiveJobsIds()) & set(tracker.getJobIdsForGroup(str(query.runId)))


@dataclass
class Running:
    """Carries a stream: starts its query, and another one where that failed for a reason that may pass, or where the
    mode changed.
    """

    spark: SparkSession
    epochs: Epochs
    modes: Modes
    _failed: int = 0
    _started_s: float = 0

    def until_stopped(self, started: Callable[[StreamingQuery], None]) -> None:
        """Returns when a stop was requested, and no query runs any more; `started` is called with each query.

        Raises:
            PenstockError: the query ended for a reason that does not pass, or failed too often, or has stalled.
        """
        stopping = self.epochs.stopping
        local = self.epochs.settings.spark.master.startswith("local")
        self.modes.settle(lambda: stopping.wait(LOOK_S), all_there=local)
        while not stopping.is_set():
            committed = self.epochs.committed
            failed = self._one(started)
            if failed and not stopping.is_set():
                self._failed = 1 if self.epochs.committed > committed else self._failed + 1
                self._pause(failed)
            self.epochs.forget()

    def _one(self, started: Callable[[StreamingQuery], None]) -> "_FailedError | None":
        """Starts a query, and returns when none runs any more: why it failed, if it did."""
        self._started_s = time.monotonic()
        query = start(self.spark, self.epochs, self.modes.mode)
        with ExitStack() as closing:
            closing.callback(query.stop)
            try:
                started(query)
                self._follow(query)
            except _FailedError as failed:
                return failed
            except StalledError:
                closing.pop_all()  # stopping would wait for what waits
                raise
        return None

    def _follow(self, query: StreamingQuery) -> None:
        """Returns when a stop was requested or the mode has changed.

        Looks again and again instead of waiting in the JVM, where a stop would not be noticed.
        """
        watch = Watch(self.epochs.pipeline.name, lambda: _jobs(self.spark, query))
        began = self.epochs.committed
        behind = Behind(self.epochs.settings.spark.epoch_s, self._unread, began)
        while not self.epochs.stopping.wait(LOOK_S):
            watch.look(self._under_way_s())
            if not query.isActive:
                raise _FailedError(self.epochs.failure or failure_of(query))
            if self.modes.mode is Mode.REAL_TIME and (why := behind.look(self.epochs.committed, self.epochs.empty)):
                self.modes.leave_real_time(why)
                return
            if self.modes.changes(partial(self._may_leave, began)):
                return

    def _may_leave(self, since: int) -> bool:
        """Whether the query may be stopped for another mode: in micro-batches one was done, or there is nothing to do.

        A micro-batch that is under way is done to its end: the machine may be too slow for anything else.
        """
        if self.modes.mode is Mode.REAL_TIME or self.epochs.committed > since:
            return True
        return not self._unread()

    def _unread(self) -> Mapping[int, tuple[int, int]]:
        try:
            return self.epochs.unread()
        except BrokerError as error:
            log.debug("what is to be read could not be asked: %s", error)
            return {}

    def _under_way_s(self) -> float | None:
        """Since when an epoch is under way; in real-time mode there always is one."""
        return self._started_s if self.modes.mode is Mode.REAL_TIME else self.epochs.began_s

    def _pause(self, failed: "_FailedError") -> None:
        """Before the next attempt; raises where there is none."""
        epochs, cause = self.epochs, failed.cause
        place = checkpoint(epochs.settings, epochs.pipeline)
        try:
            epochs.check_same(epochs.stream)
        except (BrokerError, StoreError) as error:
            log.debug("it could not be asked whether topic and table are the same: %s", error)
        if not may_pass(cause, place) or self._failed >= ATTEMPTS:
            if isinstance(cause, PenstockError):
                raise cause
            raise ended(epochs.pipeline.name, cause, place, epochs.pipeline) from cause
        log.warning("%s: attempt %d of %d failed: %s", epochs.pipeline.name, self._failed, ATTEMPTS, first_cause(cause))
        # A table that is not the declared one any more does not become it by waiting.
        epochs.resources.store.check_table(epochs.pipeline)
        epochs.stopping.wait(min(2.0 ** (self._failed - 2), _LONGEST_PAUSE_S))


class _FailedError(Exception):
    """A query ended by itself; `cause` is None where somebody stopped it."""

    def __init__(self, cause: BaseException | None) -> None:
        self.cause = cause
        super().__init__(str(cause))


def may_pass(cause: BaseException | None, place: str) -> bool:
    """Whether another attempt may succeed without anybody's doing."""
    if cause is None or isinstance(cause, Py4JNetworkError) or is_full(place):
        return False
    return isinstance(cause, (StoreError, BrokerError)) or not (isinstance(cause, PenstockError) or is_final(cause))
