"""The app: Spark's session, the query over Kafka's topic, and its life until it is told to stop."""

import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from penstock.cassandra import Store
from penstock.config import Settings
from penstock.errors import BrokerError, StalledError, StreamError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.stream.connectors.cassandra import spark_conf
from penstock.stream.epochs import Epochs, Seams, prepare
from penstock.stream.failures import FOREIGN, check_checkpoint, check_room, first_cause, is_local, only_one
from penstock.stream.jvm import REDACTION, SECRET, launch
from penstock.stream.mode import Mode, Modes, Room
from penstock.stream.progress import checkpoint
from penstock.stream.query import LOOK_S, Running
from penstock.stream.stall import Watch

log = logging.getLogger(__name__)

_LOOK_S = 3.0
"""How long Kafka is asked for the number of partitions, while the query runs on."""
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
    # Real-time mode knows two sinks by name; ours does what it asks for (docs/decisions/260).
    "spark.sql.streaming.realTimeMode.allowlistCheck": "false",
    "spark.sql.streaming.realTimeMode.minBatchDuration": "1s",
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


def run(settings: Settings, pipeline: Pipeline, jars: Sequence[Path], seams: Seams | None = None) -> None:
    """Carries records until SIGTERM or SIGINT; an epoch that they interrupt is done again after a restart.

    Makes topics and table where they are absent. The environment must name a Java 17 (`JAVA_HOME`), and the main
    thread must be the caller's: it is where signals arrive. `seams` are for tests.

    Raises:
        StreamError: Spark could not be started, or the query ended by itself.
        BrokerError, StoreError: topics or table could not be made, or are not what the declaration needs.
    """
    place = checkpoint(settings, pipeline)
    check_room(place)
    with stop_requests() as stopping, only_one(place), Store(settings.cassandra) as store:
        check_checkpoint(place, pipeline)
        epochs = Epochs(pipeline, settings, prepare(settings, pipeline, store), stopping, seams or Seams())
        try:
            with ExitStack() as closing:
                spark = session(settings, pipeline, jars)
                closing.callback(spark.stop)
                _listen(stopping)  # a new SparkContext takes SIGINT for itself
                try:
                    _running(spark, epochs, closing).until_stopped(partial(_note_beginning, spark, epochs))
                except StalledError:
                    closing.pop_all()  # stopping would wait for what waits; the JVM ends with this process
                    raise
        except FOREIGN as error:
            if not stopping.is_set():
                raise StreamError(f"{pipeline.app_name}: the driver's JVM ended or is out of reach: {error}") from error
            log.warning("%s: Spark was gone before it could be stopped: %s", pipeline.app_name, first_cause(error))
    log.info("%s: stopped", pipeline.app_name)


def _running(spark: SparkSession, epochs: Epochs, closing: ExitStack) -> Running:
    name, kafka = epochs.pipeline.app_name, epochs.settings.kafka
    broker = closing.enter_context(Broker(kafka.model_copy(update={"delivery_timeout_s": _LOOK_S})))
    room = _Room(spark, broker, epochs.pipeline.topic)
    modes = Modes(Mode(epochs.settings.spark.mode), room.look, name)
    return Running(spark, epochs, modes, Watch(name, spark.sparkContext.statusTracker().getActiveJobsIds))


@dataclass
class _Room:
    """Task slots and partitions; a Kafka that does not answer has as many as it had."""

    spark: SparkSession
    broker: Broker
    topic: str
    partitions: int = 1

    def look(self) -> Room:
        with suppress(BrokerError):
            self.partitions = self.broker.partitions(self.topic)
        return Room(slots(self.spark), self.partitions)


def slots(spark: SparkSession) -> int:
    """How many tasks all living executors run at a time."""
    context: Any = spark.sparkContext._jsc.sc()
    return int(context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile()))


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


def _note_beginning(spark: SparkSession, epochs: Epochs, query: StreamingQuery) -> None:
    """Returns when that is done; or the query ended or was told to stop, which its follower sees to."""
    if epochs.settings.spark.starting_offsets == "latest":
        while query.isActive and not epochs.note_beginning(spark, str(query.id)):
            if epochs.stopping.wait(LOOK_S):
                return
