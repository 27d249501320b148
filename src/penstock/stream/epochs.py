"""The driver's work before and after each epoch: a micro-batch, or the part of the stream that real-time mode commits.

The sink writes rows and letters, and counts. When all of an epoch is acknowledged, the counts are stored here; then
Spark commits it.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event, Lock
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from penstock.cassandra import Batch, Counted, Counts, Flow, Store, Tally, confirm, durable, properties, starts
from penstock.cassandra.table import REBUILD
from penstock.config import Settings
from penstock.errors import StreamError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.stream.failures import NEW_CHECKPOINT
from penstock.stream.progress import Progress, checkpoint

log = logging.getLogger(__name__)

_LOOK_S = 15.0
"""How long an epoch waits for the broker that it asks whether the topic is still the same."""
_START_S = 60.0

_DEFINING = Lock()
"""Pipelines share keyspaces and the tables of counts, and Cassandra wants changes of a schema one after the other."""

BEFORE_ROWS, BEFORE_COUNTS, BEFORE_COMMIT = "rows", "counts", "commit"
"""The points of an epoch at which `Seams.before` is called."""


@dataclass(frozen=True)
class Seams:
    """Hooks into the epochs, by which a test plants a defect or kills the driver; the defaults change nothing."""

    rows: Callable[[DataFrame], DataFrame] = lambda outgoing: outgoing
    """What becomes of the rows of `sink.outgoing`."""
    options: Callable[[Mapping[str, str]], Mapping[str, str]] = lambda options: options
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
    sink when its table does not.
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
class Epochs:
    """The epochs of one stream, through all of its queries: one that failed is followed by another one.

    Called by the sink in the driver's JVM. Spark hands errors on as one long text, so `failure` keeps the error.
    """

    class Java:
        implements = ("penstock.stream.Epochs",)

    pipeline: Pipeline
    settings: Settings
    resources: Resources
    stopping: Event = field(default_factory=Event)
    seams: Seams = field(default_factory=Seams)
    failure: Exception | None = None
    committed: int = 0
    """Epochs that the process has seen to their end."""
    empty: int = 0
    """How many of them, the last ones, took nothing."""
    began_s: float | None = None
    """On the monotonic clock, while an epoch is being begun or committed."""
    _progress: Progress | None = None
    stream: str = ""
    """Identity of the query, which the checkpoint keeps for its life."""
    _known: Event = field(default_factory=Event)
    _starts: Mapping[Any, int] = field(default_factory=dict)
    _counted: Counted | None = None
    """None until the query's first epoch."""

    def follow(self, spark: SparkSession, stream: str) -> None:
        """A query of that identity, which the checkpoint keeps for its life, runs from now on."""
        place = checkpoint(self.settings, self.pipeline)
        self._progress = Progress(spark, place, self.pipeline.topic)
        self.stream = stream
        self._known.set()

    def forget(self) -> None:
        """The query ended; the next one may do an epoch anew."""
        self._known.clear()
        self._counted = None
        self.failure = None
        self.began_s = None
        self.empty = 0

    def begin(self) -> str:
        """Called before an epoch's first row is written; returns what is counted, partition -> last offset, in JSON."""
        with self._kept():
            self._counted = self._counted or self._resumed()
            self._starts = starts(self.resources.store)
            self.seams.before(BEFORE_ROWS)
            return json.dumps(self._counted.position)

    def commit(self, number: int, report: str) -> None:
        """Everything of the epoch is acknowledged. When this returns, all of it is on the disk and counted."""
        seen = json.loads(report)
        with self._kept():
            if seen["read"]:
                self._count(number, seen)
            self.committed += 1
            self.empty = 0 if seen["read"] else self.empty + 1

    def _kept(self) -> "_Kept":
        return _Kept(self)

    def _count(self, number: int, seen: Mapping[str, Any]) -> None:
        if self._counted is None:
            raise StreamError(f"{self.pipeline.name}: Spark ended epoch {number}, which it did not begin")
        resources, before = self.resources, self.seams.before
        before(BEFORE_COUNTS)
        self.check_same()
        flows = {Flow(run, attempt): Tally(read, rejected) for run, attempt, read, rejected in seen["flows"]}
        spans = {int(partition): (first, last) for partition, (first, last) in seen["spans"].items()}
        self._counted = resources.counts.add(Batch(self.stream, number, flows, spans), self._counted)
        confirm(resources.store, self.pipeline, self._starts)
        before(BEFORE_COMMIT)
        stored, rejected = seen["read"] - seen["rejected"], seen["rejected"]
        log.info("%s: batch %d: stored %d rows, %d rejected", self.pipeline.name, number, stored, rejected)

    def _resumed(self) -> Counted:
        """Before the first epoch of a query: is this the topic, and the table, that the checkpoint speaks of?"""
        if not self._known.wait(_START_S) or self._progress is None:
            raise StreamError(f"{self.pipeline.name}: Spark began an epoch and did not say of which query")
        resources, counts = self.resources, self.resources.counts
        if bound := counts.bound_to(self.stream):
            self._check_same(*bound)
        with durable(resources.store, self.pipeline):
            counts.bind(self.stream, resources.topic_id, resources.table_id)
        number = self._progress.next_number()
        return counts.resume(self.stream, number, self._progress.begins(number))

    def unread(self) -> Mapping[int, tuple[int, int]]:
        """Partition -> where the next epoch begins, and the end of what can be read; of those with messages between.

        Between the two there may be nothing but marks of other producers' transactions, which no epoch passes: it is
        tried to read a message.

        Raises:
            BrokerError: Kafka cannot be asked.
        """
        if self._progress is None:
            return {}
        broker, topic = self.resources.broker, self.pipeline.topic
        begins = self._progress.begins(self._progress.next_number())
        spans = {one: (begins.get(one, span.first), span.end) for one, span in broker.offsets(topic).items()}
        return {
            number: (begin, end)
            for number, (begin, end) in spans.items()
            if begin < end and any(True for _ in broker.read(topic, start={number: begin}, end={number: end}))
        }

    def note_beginning(self, spark: SparkSession, stream: str) -> bool:
        """Keeps where query `stream` begins, if that is not known yet; false until Spark has decided it.

        For a stream that begins at the end of the topic: what is before that it passed without an epoch, and in a
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


class _Kept:
    """Keeps the error of its block, and the moment when it began."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs

    def __enter__(self) -> None:
        self._epochs.began_s = time.monotonic()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._epochs.began_s = None
        if isinstance(error, Exception):
            self._epochs.failure = error
