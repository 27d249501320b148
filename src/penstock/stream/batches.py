"""One micro-batch: its rows are written, then its dead letters, then the counts; then Spark commits it."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from threading import Event, Lock

from py4j.protocol import Py4JNetworkError
from pyspark.sql import Column, DataFrame, SparkSession
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential,
)

from penstock.cassandra import Batch, Counts, Store, durable, properties
from penstock.cassandra.table import REBUILD
from penstock.config import CassandraSettings, KafkaSettings, Settings
from penstock.errors import BrokerError, PenstockError, StoreError, StreamError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.stream.connectors.cassandra import forget_sessions, write
from penstock.stream.connectors.kafka import write_letters
from penstock.stream.counting import Counting, counted
from penstock.stream.deletions import delete
from penstock.stream.failures import FOREIGN, NEW_CHECKPOINT, first_cause, is_final
from penstock.stream.judge import deletes, deletions, good, rejected, resolved
from penstock.stream.progress import Progress, checkpoint

log = logging.getLogger(__name__)

ATTEMPTS = 10
"""How often a micro-batch is tried while Cassandra or Kafka fails, with pauses of 55 s in all; then the query ends, and
a restart goes on from the checkpoint. Counted, not timed: on a busy machine one attempt may take minutes.
"""

_LOOK_S = 15.0
"""How long an attempt waits for the broker that it asks whether the topic is still the same."""

_DEFINING = Lock()
"""Pipelines share keyspaces and the tables of counts, and Cassandra wants changes of a schema one after the other."""

BEFORE_ROWS, BEFORE_LETTERS, BEFORE_COUNTS, BEFORE_COMMIT = "rows", "letters", "counts", "commit"
"""The points of a micro-batch at which `Sinks.before` is called."""


@dataclass(frozen=True)
class Sinks:
    """Where a micro-batch goes. For tests of the tests: a defect is planted by passing another one."""

    rows: Callable[[DataFrame, Pipeline, CassandraSettings], None] = write
    letters: Callable[[DataFrame, KafkaSettings], None] = write_letters
    before: Callable[[str], None] = lambda _: None
    """Called with each of the points above before it happens: where a test kills the driver."""


@dataclass(frozen=True)
class Resources:
    """Clients that a stream keeps open besides Spark, and the identities of topic and table when it started."""

    store: Store
    broker: Broker
    counts: Counts
    topic_id: str
    table_id: str


def prepare(settings: Settings, pipeline: Pipeline, store: Store) -> Resources:
    """Makes topics and tables where they are absent: Spark's Kafka source ends when its topic does not exist, and the
    connector when its table does not.
    """
    counts = Counts(store, pipeline)
    with Broker(settings.kafka) as broker:
        broker.ensure_topics(pipeline)
        topic_id = broker.identity(pipeline.topic)
    with _DEFINING:
        store.ensure_table(pipeline)
        counts.ensure()
    for each in properties(store, pipeline, timedelta(hours=settings.kafka.retention_hours)):
        log.warning("table %s.%s: %s", pipeline.keyspace, pipeline.table, each)
    impatient = Broker(settings.kafka.model_copy(update={"delivery_timeout_s": _LOOK_S}))
    return Resources(store, impatient, counts, topic_id, store.table_id(pipeline))


@dataclass
class MicroBatches:
    """Carries each micro-batch to its end, and keeps the error of the last one that failed.

    `stopping` ends the attempts at a failing one. Spark hands errors on as one long text, so `failure` keeps the error.
    """

    pipeline: Pipeline
    settings: Settings
    resources: Resources
    stopping: Event = field(default_factory=Event)
    sinks: Sinks = field(default_factory=Sinks)
    failure: Exception | None = None
    attempt_began_s: float | None = None
    """On the monotonic clock, while a micro-batch is under way."""
    _stream: str = ""
    _progress: Progress | None = None

    def store(self, batch: DataFrame, number: int) -> None:
        """Returns when all of the batch is acknowledged and counted; tries again while Cassandra or Kafka fails."""
        started = time.monotonic()
        try:
            read, refused = self._attempts(batch, number)(self._once, batch, number)
        except (*FOREIGN, PenstockError) as error:
            self.failure = error
            raise
        finally:
            self.attempt_began_s = None
        seconds = time.monotonic() - started
        name = self.pipeline.name
        log.info("%s: batch %d: stored %d rows, %d rejected, %.1f s", name, number, read - refused, refused, seconds)

    @cached_property
    def _counted(self) -> Column:
        return counted(deletes(self.pipeline))

    def _once(self, batch: DataFrame, number: int) -> tuple[int, int]:
        """(messages read, messages rejected), all acknowledged and on the disk."""
        self.attempt_began_s = time.monotonic()
        self._bind(batch)
        with durable(self.resources.store, self.pipeline):
            counting = self._acknowledged(batch, number)
        self.sinks.before(BEFORE_COMMIT)
        return counting.read, counting.rejected

    def _acknowledged(self, batch: DataFrame, number: int) -> Counting:
        """All is counted while the good ones are written, so that Kafka is read again only where there are letters."""
        counting, before = Counting(batch, self._counted), self.sinks.before
        before(BEFORE_ROWS)
        self._write_rows(batch, counting)
        before(BEFORE_LETTERS)
        if counting.rejected:
            self.sinks.letters(rejected(batch, self.pipeline), self.settings.kafka)
        if counting.resolving:
            self.sinks.letters(resolved(batch, self.pipeline), self.settings.kafka)
            self.resources.counts.resolve(counting.resolved_items())
        before(BEFORE_COUNTS)
        self.check_same()
        self.resources.counts.add(Batch(self._stream, number, counting.flows(), self._spans(batch, number)))
        return counting

    def _write_rows(self, batch: DataFrame, counting: Counting) -> None:
        """Writes rows and removes those whose records say so; reads the batch again only where there are such."""
        self.sinks.rows(good(counting.watched, self.pipeline), self.pipeline, self.settings.cassandra)
        if counting.deleting:
            delete(deletions(batch, self.pipeline), self.pipeline, self.resources.store)

    def _spans(self, batch: DataFrame, number: int) -> Mapping[int, tuple[int, int]]:
        place = checkpoint(self.settings, self.pipeline)
        self._progress = self._progress or Progress(batch.sparkSession, place, self.pipeline.topic)
        return self._progress.spans(number)

    def _bind(self, batch: DataFrame) -> None:
        """Before the first batch: is this still the topic, and the table, that the checkpoint speaks of?"""
        if self._stream:
            return
        # Spark's `StreamExecution.QUERY_ID_KEY`: the identity that the checkpoint keeps for its life.
        stream = batch.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId") or ""
        resources = self.resources
        if bound := resources.counts.bound_to(stream):
            self._check_same(*bound)
        with durable(resources.store, self.pipeline):
            resources.counts.bind(stream, resources.topic_id, resources.table_id)
        self._stream = stream

    def note_beginning(self, spark: SparkSession, stream: str) -> bool:
        """Keeps where query `stream` begins, if that is not known yet; false until Spark has decided it.

        For a stream that begins at the end of the topic: what is before that it passed without a micro-batch, and in a
        partition to which nothing more comes there is none.
        """
        resources, place = self.resources, checkpoint(self.settings, self.pipeline)
        if resources.counts.bound_to(stream):
            return True
        beginning = Progress(spark, place, self.pipeline.topic).beginning()
        if beginning is not None:
            with durable(resources.store, self.pipeline):
                resources.counts.begin(stream, beginning)
                resources.counts.bind(stream, resources.topic_id, resources.table_id)
        return beginning is not None

    def check_same(self, stream: str = "") -> None:
        """Are these still the topic and the table of the start, and those of the checkpoint of query `stream`?

        What Spark or Cassandra say when it is not depends on the moment and on the new one's offsets.

        Raises:
            StreamError: it is not.
            BrokerError, StoreError: that cannot be asked.
        """
        resources = self.resources
        if stream and (bound := resources.counts.bound_to(stream)):
            self._check_same(*bound)
        self._check_same(resources.broker.identity(self.pipeline.topic), resources.store.table_id(self.pipeline))

    def _check_same(self, topic_id: str, table_id: str) -> None:
        """Raises StreamError when topic or table is another than at the start; one that is not there has no identity,
        and is missed by whoever reads or writes it.
        """
        topic, table = self.pipeline.topic, f"{self.pipeline.keyspace}.{self.pipeline.table}"
        if topic_id and topic_id != self.resources.topic_id:
            raise StreamError(
                f"topic {topic} was deleted and made again since the checkpoint was written, which marks offsets of "
                "the old one: messages of the new one would be skipped. Nothing was. "
                f"{NEW_CHECKPOINT.format(topic=topic)}"
            )
        if table_id and table_id != self.resources.table_id:
            raise StreamError(
                f"table {table} was dropped and made again since the checkpoint was written, "
                f"so the rows that were stored before are not in it. {REBUILD.format(topic=topic)}"
            )

    def _attempts(self, batch: DataFrame, number: int) -> Retrying:
        def report(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            which = (self.pipeline.name, number, state.attempt_number, ATTEMPTS)
            log.warning("%s: batch %d: attempt %d of %d failed: %s", *which, first_cause(error))
            forget_sessions(batch.sparkSession)
            # A table that is not the declared one any more does not become it by waiting.
            self.resources.store.check_table(self.pipeline)

        return Retrying(
            retry=retry_if_exception(_may_pass),
            wait=wait_exponential(multiplier=0.5, max=10),
            stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(self.stopping),
            sleep=sleep_using_event(self.stopping),
            before_sleep=report,
            reraise=True,
        )


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, Py4JNetworkError):
        return False
    return isinstance(error, (StoreError, BrokerError)) or (isinstance(error, FOREIGN) and not is_final(error))
