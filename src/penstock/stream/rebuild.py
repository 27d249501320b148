"""The table made again from the topic: same judgement, same write times. Bulk work, so the connector writes it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it
from pyspark.sql.streaming.query import StreamingQuery

from penstock.cassandra import Store, durable
from penstock.config import Settings
from penstock.errors import PenstockError, StreamError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.stream.alone import alone, spark_alone
from penstock.stream.app import stop_requests
from penstock.stream.connectors.cassandra import batch_conf, write
from penstock.stream.connectors.kafka import source_options
from penstock.stream.deletions import delete
from penstock.stream.epochs import Resources, prepare
from penstock.stream.failures import FOREIGN, ended, failure_of
from penstock.stream.judge import deletes, deletions, good, transform
from penstock.stream.query import LOOK_S


def rebuild(
    settings: Settings, pipeline: Pipeline, jars: Sequence[Path], on_progress: Callable[[int, int], None]
) -> int:
    """Writes the row of every record of the topic again and returns the number of messages read.

    A row that is there already stays as it is, for it gets the same values at the same write times; so the stream may
    run meanwhile. Dead letters are not written again. Spark runs in this process, beside the stream's. `on_progress`
    gets messages read and messages there are. The environment must name a Java 17 (`JAVA_HOME`).

    Raises:
        StreamError: Spark could not be started, or ended, or was told to stop; doing it again does all again.
        BrokerError, StoreError: topic or table could not be reached, or are not what the declaration needs.
    """
    own, doing = alone(settings), f"rebuilding {pipeline.table}"
    with stop_requests() as stopping, Store(settings.cassandra) as store, TemporaryDirectory() as place:
        total = _messages(settings, pipeline)
        batches = _Rows(pipeline, own, prepare(settings, pipeline, store), lambda done: on_progress(done, total))
        with spark_alone(own, doing, pipeline.app_name, jars, batch_conf(store, pipeline)) as spark:
            _follow(batches.start(spark, place), batches, stopping, place)
        if stopping.is_set():
            raise StreamError(f"{doing} was told to stop after {batches.done} messages")
        with durable(store, pipeline):
            batches.resources.counts.rebind(batches.resources.table_id)
    return batches.done


@dataclass
class _Rows:
    """Micro-batches whose rows are written; neither letters nor counts, which are there."""

    pipeline: Pipeline
    settings: Settings
    resources: Resources
    on_progress: Callable[[int], None]
    done: int = 0
    failure: Exception | None = None

    def start(self, spark: SparkSession, place: str) -> StreamingQuery:
        """The query, which ends when all of the topic is read."""
        messages = (
            spark.readStream.format("kafka")
            .options(**source_options(self.settings.kafka))
            .option("subscribe", self.pipeline.topic)
            .option("startingOffsets", "earliest")
            .option("maxOffsetsPerTrigger", self.settings.spark.max_records_per_batch)
            .option("includeHeaders", "true")
            .load()
        )
        query = transform(messages, self.pipeline).writeStream.queryName(self.pipeline.name)
        return query.foreachBatch(self.write).option("checkpointLocation", place).trigger(availableNow=True).start()

    def write(self, batch: DataFrame, _number: int) -> None:
        """Spark hands errors on as one long text, so `failure` keeps the error."""
        try:
            counted = Observation()
            read = F.count(F.lit(1)).alias("read")
            deleting = F.count_if(deletes(self.pipeline)).alias("deleting")
            with durable(self.resources.store, self.pipeline):
                write(
                    good(batch.observe(counted, read, deleting), self.pipeline), self.pipeline, self.settings.cassandra
                )
                if counted.get["deleting"]:
                    delete(deletions(batch, self.pipeline), self.pipeline, self.resources.store)
        except (*FOREIGN, PenstockError) as error:
            self.failure = error
            raise
        self.done += counted.get["read"]
        self.on_progress(self.done)


def _follow(query: StreamingQuery, batches: _Rows, stopping: Event, place: str) -> None:
    while query.isActive and not stopping.wait(LOOK_S):
        pass
    query.stop()
    if isinstance(batches.failure, PenstockError):
        raise batches.failure
    if cause := batches.failure or failure_of(query):
        raise ended(query.name, cause, place, batches.pipeline) from cause


def _messages(settings: Settings, pipeline: Pipeline) -> int:
    with Broker(settings.kafka) as broker:
        return sum(span.end - span.first for span in broker.offsets(pipeline.topic).values())
