"""Writes the table again from the topic as the stream does: same judgement, same write times."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import DataFrame

from penstock.cassandra import Store, durable
from penstock.config import Settings
from penstock.errors import PenstockError, StreamError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.stream.app import session, stop_requests
from penstock.stream.batches import MicroBatches, prepare
from penstock.stream.counting import Counting
from penstock.stream.failures import FOREIGN, ended, first_cause
from penstock.stream.query import LOOK_S, start


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
    alone = _alone(settings)
    with stop_requests() as stopping, Store(settings.cassandra) as store, TemporaryDirectory() as place:
        batches = _Rows(pipeline, alone, prepare(settings, pipeline, store), stopping)
        total = _messages(settings, pipeline)
        batches.on_progress = lambda done: on_progress(done, total)
        try:
            spark = session(alone, pipeline.app_name, jars)
            try:
                query = start(spark, batches, place, availableNow=True)
                while query.isActive and not stopping.wait(LOOK_S):
                    pass
                query.stop()
                if isinstance(batches.failure, PenstockError):
                    raise batches.failure
                if cause := batches.failure or query.exception():
                    raise ended(query.name, cause, place, pipeline) from cause
            finally:
                spark.stop()
        except FOREIGN as error:
            raise StreamError(f"rebuilding {pipeline.table}: Spark ended: {first_cause(error)}") from error
        if stopping.is_set():
            raise StreamError(f"rebuilding {pipeline.table} was told to stop after {batches.done} messages")
        with durable(store, pipeline):
            batches.resources.counts.rebind(batches.resources.table_id)
    return batches.done


class _Rows(MicroBatches):
    """Rows only; neither letters nor counts, which are there."""

    done = 0
    on_progress: Callable[[int], None]

    def _once(self, batch: DataFrame, _number: int) -> tuple[int, int]:
        counting = Counting(batch, self._counted)
        with durable(self.resources.store, self.pipeline):
            self._write_rows(batch, counting)
        self.done += counting.read
        self.on_progress(self.done)
        return counting.read, counting.rejected


def _alone(settings: Settings) -> Settings:
    """Without the cluster, whose cores the stream has; what an executor needs, the driver then needs."""
    spark = {
        "master": f"local[{settings.spark.executor_cores}]",
        "starting_offsets": "earliest",
        "conf": {**settings.spark.conf, "spark.ui.enabled": "false"},
    }
    heaps = {"spark_driver": settings.heaps.spark_executor}
    return settings.model_copy(
        update={
            "spark": settings.spark.model_copy(update=spark),
            "heaps": settings.heaps.model_copy(update=heaps),
        }
    )


def _messages(settings: Settings, pipeline: Pipeline) -> int:
    with Broker(settings.kafka) as broker:
        return sum(span.end - span.first for span in broker.offsets(pipeline.topic).values())
