"""One query: a pipeline is prepared, started and followed until its query ends, and attempted again if that may help.

Each pipeline has a thread, so that what one waits for delays no other one.
"""

import logging
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from threading import Event, Lock, Thread
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from penstock.cassandra import Store
from penstock.config import Settings
from penstock.errors import BrokerError, PenstockError, StalledError, StoreError, StreamError
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import Declaration
from penstock.stream.batches import MicroBatches, Sinks, prepare
from penstock.stream.connectors.cassandra import batch_conf
from penstock.stream.connectors.kafka import source_options
from penstock.stream.counting import with_flows
from penstock.stream.failures import FOREIGN, check_checkpoint, check_room, ended, first_cause, is_final, only_one
from penstock.stream.judge import transform
from penstock.stream.progress import checkpoint, clear_unfinished
from penstock.stream.report import Standing, State
from penstock.stream.stall import Watch
from penstock.waiting import BackOff

log = logging.getLogger(__name__)

LOOK_S = 0.2


class Driver:
    """Spark's session for all queries, opened by the first one that needs it."""

    def __init__(self, open_session: Callable[[], SparkSession]) -> None:
        self._open = open_session
        self._lock = Lock()
        self._opened: SparkSession | PenstockError | None = None

    def session(self) -> SparkSession:
        """One more session of the same application, with options of its own.

        Raises:
            StreamError: Spark could not be started, now or for another query.
        """
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = self._open()
                except PenstockError as error:
                    self._opened = error
            if isinstance(self._opened, PenstockError):
                raise self._opened
            return self._opened.newSession()

    def stop(self) -> None:
        if isinstance(self._opened, SparkSession):
            try:
                self._opened.stop()
            except FOREIGN as error:
                log.warning("Spark was gone before it could be stopped: %s", first_cause(error))


class Carrier:
    """Carries the records of one declaration until it is stopped, or its query ends for good."""

    def __init__(self, declaration: Declaration, settings: Settings, driver: Driver, sinks: Sinks) -> None:
        if declaration.pipeline is None:
            raise ValueError(f"{declaration.place} declares no pipeline")
        self.declaration = declaration
        self.pipeline: Pipeline = declaration.pipeline
        self.standing = Standing(State.STARTING)
        self.failure: Exception | None = None
        """Of the last attempt, if it failed."""
        self.at_work = True
        """False while it only waits for another attempt, and after the last one."""
        self._settings, self._driver, self._sinks = settings, driver, sinks
        self._spark: SparkSession | None = None
        self._stopping = Event()
        # A daemon: where a micro-batch waits for ever, the process has to end without it.
        self._thread = Thread(target=self._carry, name=self.pipeline.name, daemon=True)
        self.start, self.join = self._thread.start, self._thread.join

    def stop(self) -> None:
        """Asks for the end, which `join` waits for; a micro-batch under way is done again by whoever comes next."""
        self._stopping.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def stalled(self) -> StalledError | None:
        """What only a new process gets out of."""
        return self.failure if isinstance(self.failure, StalledError) else None

    def _carry(self) -> None:
        back_off = BackOff(first_s=5, longest_s=60)
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                self._attempt()
            except Exception as error:  # noqa: BLE001 - of a thread; the application raises it when it ends
                self.failure = error
            else:
                return
            if self._stopping.is_set():
                return
            may_pass = isinstance(self.failure, PenstockError) and not is_final(self.failure.__cause__ or self.failure)
            self.standing = Standing(State.FAILING if may_pass else State.FAILED, _text(self.failure))
            self.at_work = False
            if not may_pass or self.stalled:
                return
            self._stopping.wait(back_off.next_s(time.monotonic() - began_s))
            self.at_work = True

    def _attempt(self) -> None:
        """Returns when a stop was requested; raises what is wrong, or why the query ended by itself."""
        place = checkpoint(self._settings, self.pipeline)
        check_room(place)
        try:
            with only_one(place), Store(self._settings.cassandra) as store:
                check_checkpoint(place, self.pipeline)
                resources = prepare(self._settings, self.pipeline, store)
                with resources.broker:
                    self._run(MicroBatches(self.pipeline, self._settings, resources, self._stopping, self._sinks))
        except FOREIGN as error:
            if not self._stopping.is_set():
                name = self.pipeline.name
                raise StreamError(f"{name}: the driver's JVM ended or is out of reach: {error}") from error
            log.warning("%s: Spark was gone before it could be stopped: %s", self.pipeline.name, first_cause(error))

    def _run(self, batches: MicroBatches) -> None:
        spark = self._spark = self._spark or self._driver.session()
        with ExitStack() as closing:
            query = start(spark, batches)
            closing.callback(query.stop)
            if self._settings.spark.starting_offsets == "latest":
                _note_beginning(spark, query, batches)
            self.standing = Standing(State.RUNNING)
            watch = Watch(self.pipeline.name, lambda: batches.attempt_began_s, lambda: _jobs(spark, query))
            try:
                _follow(query, batches, watch)
            except StalledError:
                closing.pop_all()  # stopping would wait for what waits
                raise


def _text(failure: Exception) -> str:
    return str(failure) if isinstance(failure, PenstockError) else repr(failure)


def start(spark: SparkSession, batches: MicroBatches, place: str = "", **trigger: Any) -> StreamingQuery:
    """The running query. Topics and table must exist. `place` of the checkpoint and `trigger` are the settings' unless
    given. `spark` is a session of its own: options for writing this pipeline's table are set in it.
    """
    pipeline, settings = batches.pipeline, batches.settings
    place = place or checkpoint(settings, pipeline)
    clear_unfinished(spark, place)
    trigger = trigger or {"processingTime": f"{settings.spark.trigger_interval_ms} milliseconds"}
    for name, value in batch_conf(batches.resources.store, pipeline).items():
        if name not in settings.spark.conf:
            spark.conf.set(name, value)
    messages = (
        spark.readStream.format("kafka")
        .options(**source_options(settings.kafka))
        .option("subscribe", pipeline.topic)
        .option("startingOffsets", settings.spark.starting_offsets)
        .option("maxOffsetsPerTrigger", settings.spark.max_records_per_batch)
        .option("failOnDataLoss", "true")
        .option("includeHeaders", "true")
        .load()
        # One task a core: each begins by making the code of its part of the plan, whatever it has to read.
        .coalesce(settings.spark.executors * settings.spark.executor_cores)
    )
    # Before `foreachBatch`, so that both halves of a micro-batch are made by the same plan.
    query = with_flows(transform(messages, pipeline)).writeStream.queryName(pipeline.name)
    log.info("%s: reading %s, checkpoint %s", pipeline.name, pipeline.topic, place)
    return query.foreachBatch(batches.store).option("checkpointLocation", place).trigger(**trigger).start()


def _jobs(spark: SparkSession, query: StreamingQuery) -> Collection[int]:
    """The active jobs of this query: Spark groups them by the run of it."""
    tracker = spark.sparkContext.statusTracker()
    return set(tracker.getActiveJobsIds()) & set(tracker.getJobIdsForGroup(str(query.runId)))


def _note_beginning(spark: SparkSession, query: StreamingQuery, batches: MicroBatches) -> None:
    """Returns when that is done; or the query ended or was told to stop, which `_follow` sees to."""
    while query.isActive and not batches.note_beginning(spark, str(query.id)):
        if batches.stopping.wait(LOOK_S):
            return


def _follow(query: StreamingQuery, batches: MicroBatches, watch: Watch) -> None:
    """Returns when a stop was requested; raises when the query ended by itself.

    Looks again and again instead of waiting in the JVM, where a stop would not be noticed.
    """
    while not batches.stopping.wait(LOOK_S):
        watch.look()
        if not query.isActive:
            if isinstance(batches.failure, PenstockError):
                raise batches.failure
            cause = batches.failure or query.exception()
            with suppress(BrokerError, StoreError):
                batches.check_same(str(query.id))
            place = checkpoint(batches.settings, batches.pipeline)
            raise ended(query.name, cause, place, batches.pipeline) from cause
