"""The app: Spark's session, the query over Kafka's topic, and its life until it is told to stop."""

import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from penstock.cassandra import Store
from penstock.config import Settings
from penstock.errors import BrokerError, PenstockError, StalledError, StoreError, StreamError
from penstock.pipelines.contract import Pipeline
from penstock.stream.batches import MicroBatches, Sinks, prepare
from penstock.stream.connectors.cassandra import batch_conf, spark_conf
from penstock.stream.connectors.kafka import source_options
from penstock.stream.counting import with_flows
from penstock.stream.failures import FOREIGN, check_checkpoint, check_room, ended, first_cause, is_local, only_one
from penstock.stream.judge import transform
from penstock.stream.jvm import REDACTION, SECRET, launch
from penstock.stream.progress import checkpoint, clear_unfinished
from penstock.stream.stall import Watch

log = logging.getLogger(__name__)

LOOK_S = 0.2
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The serial collector needs the least memory on few cores, and a JVM out of memory must end, not linger. Without -Xms
# a heap begins with a 64th of the machine's memory.
_JVM = "-Xss512k -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError"
# The driver plans and waits: the second compiler would cost it more than it gains.
_DRIVER_JVM = f"{_JVM} -Xms64m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 -XX:TieredStopAtLevel=1"
# What an executor allocates dies with the row or with its batch, in a young generation that holds what is in flight.
_EXECUTOR_JVM = f"{_JVM} -Xms128m -Xmn256m"
# One app, one query, no shuffle: small on purpose. https://spark.apache.org/docs/4.2.0/configuration.html
_FIXED = {
    "spark.driver.extraJavaOptions": _DRIVER_JVM,
    "spark.executor.extraJavaOptions": _EXECUTOR_JVM,
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "false",
    "spark.eventLog.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.ui.retainedTasks": "500",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.sql.streaming.ui.retainedProgressUpdates": "50",
    # Each micro-batch describes its plan for the page; the default form takes twice as long.
    "spark.sql.ui.explainMode": "simple",
    # The gauges by which the launcher sees that the query runs.
    "spark.sql.streaming.metricsEnabled": "true",
    # Without new data Kafka is asked again after this; Spark's own 10 ms keep a core warm for nothing.
    "spark.sql.streaming.pollingDelay": "100ms",
    REDACTION: SECRET,
    # A second driver would find the port of the page taken and work on the same checkpoint: it shall end instead.
    "spark.port.maxRetries": "0",
}


# Spark's own choice asks the system's `readlink`, a process, for each file that it renames: 20 ms, twice a micro-batch.
_LOCAL_CHECKPOINT = {
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    )
}


def run(settings: Settings, pipeline: Pipeline, jars: Sequence[Path], sinks: Sinks | None = None) -> None:
    """Carries records until SIGTERM or SIGINT; a micro-batch that they interrupt is done again after a restart.

    Makes topics and table where they are absent. The environment must name a Java 17 (`JAVA_HOME`), and the main
    thread must be the caller's: it is where signals arrive. `sinks` are for tests.

    Raises:
        StreamError: Spark could not be started, or the query ended by itself.
        BrokerError, StoreError: topics or table could not be made, or are not what the declaration needs.
    """
    place = checkpoint(settings, pipeline)
    check_room(place)
    with stop_requests() as stopping, only_one(place), Store(settings.cassandra) as store:
        check_checkpoint(place, pipeline)
        batches = MicroBatches(pipeline, settings, prepare(settings, pipeline, store), stopping, sinks or Sinks())
        try:
            with ExitStack() as closing:
                spark = session(settings, pipeline, jars, batch_conf(store, pipeline))
                closing.callback(spark.stop)
                _listen(stopping)  # a new SparkContext takes SIGINT for itself
                query = start(spark, batches)
                closing.callback(query.stop)
                if settings.spark.starting_offsets == "latest":
                    _note_beginning(spark, query, batches)
                jobs = spark.sparkContext.statusTracker().getActiveJobsIds
                try:
                    _follow(query, batches, Watch(pipeline.app_name, lambda: batches.attempt_began_s, jobs))
                except StalledError:
                    closing.pop_all()  # stopping would wait for what waits; the JVM ends with this process
                    raise
        except FOREIGN as error:
            if not stopping.is_set():
                raise StreamError(f"{pipeline.app_name}: the driver's JVM ended or is out of reach: {error}") from error
            log.warning("%s: Spark was gone before it could be stopped: %s", pipeline.app_name, first_cause(error))
    log.info("%s: stopped", pipeline.app_name)


def session(
    settings: Settings, pipeline: Pipeline, jars: Sequence[Path], more: Mapping[str, str] | None = None
) -> SparkSession:
    """The app on the master of the settings, with `more` options of Spark, over which the settings' own win; starts the
    driver's JVM.
    """
    per_executor = settings.spark.executor_cores
    cores = str(per_executor * settings.spark.executors)
    master = settings.spark.master
    options = {
        "spark.master": master,
        "spark.app.name": pipeline.app_name,
        **_FIXED,
        **(_LOCAL_CHECKPOINT if is_local(settings.spark.checkpoint) else {}),
        **spark_conf(settings.cassandra, settings.home / "run" / "tls"),
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.driver.memory": settings.heaps.spark_driver,
        "spark.executor.memory": settings.heaps.spark_executor,
        "spark.executor.cores": str(per_executor),
        "spark.cores.max": cores,
        "spark.executor.instances": str(settings.spark.executors),
        "spark.sql.shuffle.partitions": cores,
        "spark.ui.port": str(settings.ports.spark_driver_ui),
        "spark.driver.host": settings.hosts.stream,
        "spark.driver.bindAddress": settings.stack.listen,
        **(more or {}),
        **settings.spark.conf,
    }
    try:
        launch(options)
        return SparkSession.builder.config(map={**options}).getOrCreate()
    except FOREIGN as error:
        raise StreamError(
            f"{pipeline.app_name} could not start with spark.master {master}: {first_cause(error)}. Is the master up "
            f"(`penstock status`), is port {settings.ports.spark_driver_ui} free, does JAVA_HOME name a Java 17?"
        ) from error


def start(spark: SparkSession, batches: MicroBatches, place: str = "", **trigger: Any) -> StreamingQuery:
    """The running query. Topics and table must exist. `place` of the checkpoint and `trigger` are the settings' unless
    given.
    """
    pipeline, settings = batches.pipeline, batches.settings
    place = place or checkpoint(settings, pipeline)
    clear_unfinished(spark, place)
    trigger = trigger or {"processingTime": f"{settings.spark.trigger_interval_ms} milliseconds"}
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
    log.info("%s: reading %s, checkpoint %s", pipeline.app_name, pipeline.topic, place)
    return query.foreachBatch(batches.store).option("checkpointLocation", place).trigger(**trigger).start()


@contextmanager
def stop_requests() -> Iterator[Event]:
    """An event that SIGTERM and SIGINT set."""
    stopping = Event()
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    try:
        _listen(stopping)
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(stopping: Event) -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: stopping.set())


def _note_beginning(spark: SparkSession, query: StreamingQuery, batches: MicroBatches) -> None:
    """Returns when that is done; or the query ended or was told to stop, which `_follow` sees to."""
    while query.isActive and not batches.note_beginning(spark, str(query.id)):
        if batches.stopping.wait(LOOK_S):
            return


def _follow(query: StreamingQuery, batches: MicroBatches, watch: Watch) -> None:
    """Returns when a stop was requested; raises when the query ended by itself.

    Looks again and again instead of waiting in the JVM, where a signal would not be noticed.
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
