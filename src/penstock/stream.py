"""The streaming app: Kafka's topic -> `transform` -> the table and the dead letters, with Spark.

At least once with an idempotent sink: a micro-batch is committed to the checkpoint when Cassandra has acknowledged its
good rows and Kafka its dead letters. One that was not is done again after a restart, and writes the same again.
"""

import json
import logging
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from py4j.protocol import Py4JError, Py4JJavaError, Py4JNetworkError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it
from pyspark.sql.streaming.query import StreamingQuery
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential,
)

from penstock.broker import LARGEST_LETTER_BYTES, Broker
from penstock.config import KafkaSettings, Settings
from penstock.contract import Pipeline
from penstock.errors import StreamError
from penstock.store import Store
from penstock.store.connector import spark_conf, write
from penstock.transform import good, rejected, resolved, resolves, transform

log = logging.getLogger(__name__)

ATTEMPTS = 10
"""How often a micro-batch is tried while Cassandra or Kafka fails, with pauses of 55 s in all; then the query ends, and
a restart goes on from the checkpoint. Counted, not timed: on a busy machine one attempt may take minutes.
"""

_LOOK_S = 0.2
_FOREIGN = (PySparkException, Py4JError, ConnectionError)
"""What a call into the driver's JVM may raise; the last one when the JVM is gone."""

# Where the message of a Java exception ends.
_STACK = re.compile(r"\n\s+at |\nJVM stacktrace|\n===")

# The serial collector needs the least memory on few cores, and a JVM out of memory must end, not linger. Without -Xms
# a heap begins with a 64th of the machine's memory.
_JVM = "-Xss512k -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError"
# The driver plans and waits: the second compiler would cost it more than it gains.
_DRIVER_JVM = f"{_JVM} -Xms64m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 -XX:TieredStopAtLevel=1"
# What an executor allocates dies with the row, in a young generation that is not too small.
_EXECUTOR_JVM = f"{_JVM} -Xms128m -Xmn80m"
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
    # The gauges by which the launcher sees that the query runs.
    "spark.sql.streaming.metricsEnabled": "true",
    # Without new data Kafka is asked again after this; Spark's own 10 ms keep a core warm for nothing.
    "spark.sql.streaming.pollingDelay": "100ms",
    # A second driver would find the port of the page taken and work on the same checkpoint: it shall end instead.
    "spark.port.maxRetries": "0",
}


def run(settings: Settings, pipeline: Pipeline, jars: Sequence[Path]) -> None:
    """Carries records until SIGTERM or SIGINT; a micro-batch that they interrupt is done again after a restart.

    Makes topics and table where they are absent. The environment must name a Java 17 (`JAVA_HOME`), and the main
    thread must be the caller's: it is where signals arrive.

    Raises:
        StreamError: Spark could not be started, or the query ended by itself.
        BrokerError, StoreError: topics or table could not be made, or are not what the declaration needs.
    """
    with _stop_requests() as stopping:
        batches = MicroBatches(pipeline, settings, stopping)
        _check(checkpoint(settings, pipeline), pipeline)
        _prepare(settings, pipeline)
        try:
            with ExitStack() as closing:
                spark = session(settings, pipeline, jars)
                closing.callback(spark.stop)
                query = start(spark, batches)
                closing.callback(query.stop)
                _follow(query, batches)
        except _FOREIGN as error:
            if not stopping.is_set():
                raise StreamError(f"{pipeline.app_name}: the driver's JVM ended or is out of reach: {error}") from error
            log.warning("%s: Spark was gone before it could be stopped: %s", pipeline.app_name, _said(error))
    log.info("%s: stopped", pipeline.app_name)


def session(settings: Settings, pipeline: Pipeline, jars: Sequence[Path]) -> SparkSession:
    """The app on the master of the settings; starts the driver's JVM."""
    cores = str(settings.spark.executor_cores)
    options: dict[str, str | bool | float | int | None] = {
        **_FIXED,
        **spark_conf(settings.cassandra),
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.driver.memory": settings.heaps.spark_driver,
        "spark.executor.memory": settings.heaps.spark_executor,
        "spark.executor.cores": cores,
        "spark.cores.max": cores,
        "spark.sql.shuffle.partitions": cores,
        "spark.ui.port": str(settings.ports.spark_driver_ui),
    }
    master = settings.spark.master
    builder = SparkSession.builder.master(master).appName(pipeline.app_name).config(map=options)
    try:
        return builder.getOrCreate()
    except _FOREIGN as error:
        raise StreamError(
            f"{pipeline.app_name} could not start with spark.master {master}: {_said(error)}. Is the master up "
            f"(`penstock status`), is port {settings.ports.spark_driver_ui} free, does JAVA_HOME name a Java 17?"
        ) from error


def start(spark: SparkSession, batches: "MicroBatches") -> StreamingQuery:
    """The running query. Topics and table must exist."""
    pipeline, settings = batches.pipeline, batches.settings
    place = checkpoint(settings, pipeline)
    messages = (
        spark.readStream.format("kafka")
        .options(**kafka_options(settings.kafka))
        .option("subscribe", pipeline.topic)
        .option("startingOffsets", settings.spark.starting_offsets)
        .option("maxOffsetsPerTrigger", settings.spark.max_records_per_batch)
        .option("failOnDataLoss", "true")
        .option("includeHeaders", "true")
        .load()
    )
    # Before `foreachBatch`, so that both halves of a micro-batch are made by the same plan.
    query = transform(messages, pipeline).writeStream.queryName(pipeline.name)
    log.info("%s: reading %s, checkpoint %s", pipeline.app_name, pipeline.topic, place)
    return (
        query.foreachBatch(batches.store)
        .option("checkpointLocation", place)
        .trigger(processingTime=f"{settings.spark.trigger_interval_ms} milliseconds")
        .start()
    )


def checkpoint(settings: Settings, pipeline: Pipeline) -> str:
    """Folder or URL of the pipeline's checkpoint. Without it every message is written again, which changes nothing."""
    return f"{settings.spark.checkpoint}/{pipeline.name}"


def kafka_options(settings: KafkaSettings) -> dict[str, str]:
    """How Spark's Kafka source and sink reach the broker. Holds the password: never for a log.

    Names: https://kafka.apache.org/39/documentation.html#consumerconfigs, with Spark's prefix `kafka.`.
    """
    options = {
        "kafka.bootstrap.servers": settings.bootstrap_servers,
        "kafka.security.protocol": settings.security_protocol,
    }
    if settings.sasl_mechanism:
        options["kafka.sasl.mechanism"] = settings.sasl_mechanism
        options["kafka.sasl.jaas.config"] = _jaas(settings)
    if settings.ssl_ca_location:
        options["kafka.ssl.truststore.type"] = "PEM"
        options["kafka.ssl.truststore.location"] = settings.ssl_ca_location
    return options


def _jaas(settings: KafkaSettings) -> str:
    module = "scram.Scram" if settings.sasl_mechanism.startswith("SCRAM") else "plain.Plain"
    name, password = (
        text.replace("\\", "\\\\").replace('"', '\\"')
        for text in (settings.sasl_username, settings.sasl_password.get_secret_value())
    )
    return f'org.apache.kafka.common.security.{module}LoginModule required username="{name}" password="{password}";'


def _check(place: str, pipeline: Pipeline) -> None:
    """Raises StreamError when a local checkpoint is of another topic: Spark would say that the data are lost."""
    # One JSON object a source stands in the third line: `OffsetSeqLog` of Spark 4.2.0, version 1.
    batches = [path for path in Path(place, "offsets").glob("*") if path.name.isdecimal()]
    lines = max(batches, key=lambda path: int(path.name)).read_text("utf-8").splitlines() if batches else []
    topics = json.loads(lines[2]).keys() if lines[2:] else {pipeline.topic}
    if pipeline.topic not in topics:
        raise StreamError(
            f"checkpoint {place} marks how far topic {', '.join(topics)} was read, but pipeline {pipeline.name} reads "
            f"{pipeline.topic}. Move it away, or name another with spark.checkpoint: {pipeline.topic} is then read "
            "from its beginning."
        )


def _prepare(settings: Settings, pipeline: Pipeline) -> None:
    """Spark's Kafka source ends when its topic does not exist, and the connector when its table does not."""
    with Broker(settings.kafka) as broker:
        broker.ensure_topics(pipeline)
    with Store(settings.cassandra) as store:
        store.ensure_table(pipeline)


@contextmanager
def _stop_requests() -> Iterator[Event]:
    """An event that SIGTERM and SIGINT set; pyspark would install its own handler, but not over this one's lifetime."""
    stopping = Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(query: StreamingQuery, batches: "MicroBatches") -> None:
    """Returns when a stop was requested; raises when the query ended by itself.

    Looks again and again instead of waiting in the JVM, where a signal would not be noticed.
    """
    while not batches.stopping.wait(_LOOK_S):
        if not query.isActive:
            cause = batches.failure or query.exception()
            raise StreamError(
                f"query {query.name} ended: {_said(cause) if cause else 'it was stopped from outside.'} The checkpoint "
                "still marks what was stored, and a restart goes on from there. The whole story is in the log "
                "(`penstock logs stream`)."
            ) from cause


@dataclass
class MicroBatches:
    """What is done with each micro-batch, and why the last one could not be done.

    `stopping` ends the attempts at a failing one. Spark hands errors on as one long text, so `failure` keeps the error.
    """

    pipeline: Pipeline
    settings: Settings
    stopping: Event = field(default_factory=Event)
    failure: Exception | None = None

    def store(self, batch: DataFrame, number: int) -> None:
        """Returns when all of the batch is acknowledged; tries again while Cassandra or Kafka fails."""
        started = time.monotonic()
        try:
            read, refused = _attempts(number, self.stopping)(_store_once, batch, self.pipeline, self.settings)
        except _FOREIGN as error:
            self.failure = error
            raise
        seconds = time.monotonic() - started
        log.info("batch %d: stored %d rows, %d rejected, %.1f s", number, read - refused, refused, seconds)


def _store_once(batch: DataFrame, pipeline: Pipeline, settings: Settings) -> tuple[int, int]:
    """(messages read, messages rejected), all acknowledged.

    The rejected ones are counted while the good ones are written, so that Kafka is read again only where there are any;
    likewise the letters that are resolved, now that their replays are stored.
    """
    counts = Observation()
    observed = batch.observe(
        counts,
        F.count(F.lit(1)).alias("read"),
        F.count("reason").alias("rejected"),
        F.count(resolves()).alias("resolving"),
    )
    write(good(observed), pipeline, settings.cassandra)
    read, refused, resolving = (counts.get[name] for name in ("read", "rejected", "resolving"))
    if refused:
        _write_letters(rejected(batch, pipeline), settings.kafka)
    if resolving:
        _write_letters(resolved(batch, pipeline), settings.kafka)
    return read, refused


def _write_letters(letters: DataFrame, settings: KafkaSettings) -> None:
    (
        letters.write.format("kafka")
        .options(**kafka_options(settings))
        .option("kafka.acks", "all")
        .option("kafka.enable.idempotence", "true")
        .option("kafka.compression.type", "zstd")
        .option("kafka.max.request.size", str(LARGEST_LETTER_BYTES))
        .option("kafka.delivery.timeout.ms", str(round(settings.delivery_timeout_s * 1_000)))
        .save()
    )


def _attempts(number: int, stopping: Event) -> Retrying:
    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("batch %d: attempt %d of %d failed: %s", number, state.attempt_number, ATTEMPTS, _said(error))

    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, _FOREIGN) and not isinstance(error, Py4JNetworkError)),
        wait=wait_exponential(multiplier=0.5, max=10),
        stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(stopping),
        sleep=sleep_using_event(stopping),
        before_sleep=tell,
        reraise=True,
    )


def _said(error: BaseException | None) -> str:
    """What went wrong first, in one line: the innermost cause of a Java exception, without its stack."""
    text = str(error)
    if isinstance(error, Py4JJavaError):
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = cause.toString()
    return " ".join(_STACK.split(text, maxsplit=1)[0].split()) or type(error).__name__
