"""The tester is tested: defects that a pipeline could have, planted behind the stream's seams, and what catches each.

Each one runs for real: published to Kafka, carried by Spark into Cassandra, checked like any round of faults.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from confluent_kafka import Producer
from penstock.stream.batches import MicroBatches, prepare
from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.audit import ledger
from penstock.cassandra import Store
from penstock.config import CassandraSettings, KafkaSettings, Settings
from penstock.ingest import Run
from penstock.kafka import Broker, Message
from penstock.pipelines.contract import Pipeline
from penstock.stream import Sinks, app
from penstock.stream.connectors.cassandra import write
from penstock.stream.connectors.kafka import write_letters
from penstock.stream.judge import WRITETIME
from rig.stacks import free_ports
from tests.faults.check import Findings, Topic, check
from tests.faults.load import Expected, messages
from tests.strangers import alter
from tests.waiting import TIMEOUT_S

RECORDS = 2_000
"""For each defect."""

_FRAME_BYTES = 180
"""What a message is beside its value: key, headers and the frame of its batch; about."""

Publish = Callable[[Settings, Sequence[Message]], None]


def _publish(settings: Settings, sent: Sequence[Message]) -> None:
    with Broker(settings.kafka) as broker:
        broker.publish(sent)


@dataclass(frozen=True)
class Defect:
    """One defect, and the checks that must catch it."""

    name: str
    caught_by: frozenset[str]
    sinks: Callable[[], Sinks] = Sinks
    batches: type[MicroBatches] = MicroBatches
    publish: Publish = _publish


@dataclass(frozen=True)
class Verdict:
    defect: Defect
    findings: Findings

    @property
    def passed(self) -> bool:
        """Caught by each check that must catch it; the stream without a defect by none."""
        wanted = self.defect.caught_by
        return wanted <= set(self.findings.caught_by) and bool(wanted) == bool(self.findings.wrong)


# --- the defects ---------------------------------------------------------------------------------------------------


class _Behind:
    """A sink that lets the micro-batch commit first, and writes it when the next one comes."""

    def __init__(self, sink: Callable[..., None]) -> None:
        self._sink = sink
        self._waiting: tuple[Any, ...] | None = None

    def __call__(self, rows: DataFrame, *rest: Any) -> None:
        if self._waiting:
            self._sink(*self._waiting)
        # Collected, because Spark forgets a micro-batch when it is over.
        self._waiting = (rows.sparkSession.createDataFrame(rows.collect(), rows.schema), *rest)


def _drop_one_in_10_000(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    part = F.pmod(F.xxhash64("id"), F.lit(10_000))
    [[unlucky]] = good.select(F.min(part)).collect()
    write(good.where(part != unlucky), pipeline, settings)


def _random_ids(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    write(good.withColumn("id", F.expr("uuid()")), pipeline, settings)


def _swapped(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    changed = good.withColumns({"first_name": F.col("last_name"), "last_name": F.col("first_name")})
    write(changed, pipeline, settings)


def _wall_clock(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    write(good.withColumn(WRITETIME, F.unix_micros(F.current_timestamp())), pipeline, settings)


def _shortened(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    write(good.withColumn("address", F.left("address", F.lit(60))), pipeline, settings)


def _kept(good: DataFrame, pipeline: Pipeline, settings: CassandraSettings) -> None:
    """What became absent at the source stays as it was."""
    write(good, pipeline.model_copy(update={"absent": "keep"}), settings)


def _through_text(letters: DataFrame, settings: KafkaSettings) -> None:
    """As a letter that passes through text on its way: what is not UTF-8 is replaced."""
    text = F.make_valid_utf8(F.col("value").cast("string"))
    write_letters(letters.withColumn("value", text.cast("binary")), settings)


def _forgotten(letters: DataFrame, settings: KafkaSettings) -> None:
    """Bad records are skipped."""


class _WithoutOnePartition(MicroBatches):
    def store(self, batch: DataFrame, number: int) -> None:
        super().store(batch.where("origin.partition != 2"), number)


def _publish_twice(settings: Settings, sent: Sequence[Message]) -> None:
    """A producer that sends again what was acknowledged, as one without idempotence does after a time-out."""
    _publish(settings, [*sent, *sent[:10]])


def _publish_unheard(settings: Settings, sent: Sequence[Message]) -> None:
    """A producer that asks for no receipts, against a broker that refuses some messages: too large for it."""
    sizes = sorted(len(one.value) for one in sent)
    address = settings.kafka.bootstrap_servers
    alter(address, sent[0].topic, "max.message.bytes", str(sizes[-len(sizes) // 50] + _FRAME_BYTES))
    # The broker's limit is one of batches.
    options = {"queue.buffering.max.messages": len(sent), "batch.num.messages": 1}
    producer = Producer({"bootstrap.servers": address, **options})
    for one in sent:
        headers: list[Any] = [(name, value.encode()) for name, value in one.headers.items()]
        at_ms = round(one.timestamp.timestamp() * 1_000)
        producer.produce(one.topic, one.value, one.key, timestamp=at_ms, headers=headers)
    producer.flush()


DEFECTS = (
    Defect("none", frozenset()),
    Defect("commit before write", frozenset({"account", "rows"}), lambda: Sinks(rows=_Behind(write))),
    Defect("letters after commit", frozenset({"account", "letters"}), lambda: Sinks(letters=_Behind(write_letters))),
    Defect("one in 10,000 dropped", frozenset({"account", "rows"}), lambda: Sinks(rows=_drop_one_in_10_000)),
    Defect("random ids", frozenset({"account", "rows", "nothing else"}), lambda: Sinks(rows=_random_ids)),
    Defect("two columns swapped", frozenset({"account", "rows"}), lambda: Sinks(rows=_swapped)),
    Defect("wall-clock write times", frozenset({"rows"}), lambda: Sinks(rows=_wall_clock)),
    Defect("a long value cut", frozenset({"account", "rows"}), lambda: Sinks(rows=_shortened)),
    Defect("absent values kept", frozenset({"account", "rows"}), lambda: Sinks(rows=_kept)),
    Defect("letters through text", frozenset({"letters"}), lambda: Sinks(letters=_through_text)),
    Defect("bad records skipped", frozenset({"account", "letters"}), lambda: Sinks(letters=_forgotten)),
    Defect("a partition dropped", frozenset({"account", "rows"}), batches=_WithoutOnePartition),
    Defect("a produce error swallowed", frozenset({"account", "rows", "topic"}), publish=_publish_unheard),
    Defect("messages sent twice", frozenset({"topic"}), publish=_publish_twice),
)


def drawn(seed: int, count: int = 4) -> tuple[Defect, ...]:
    """The stream without a defect, and some of the defects."""
    none, *rest = DEFECTS
    return (none, *Random(seed).sample(rest, count))


# --- playing them --------------------------------------------------------------------------------------------------


def play_defects(
    settings: Settings, base: Pipeline, defects: Sequence[Defect], classpath: Sequence[Path], folder: Path
) -> Iterator[Verdict]:
    """Each defect on a topic and a table of its own, with one local Spark; needs Kafka and Cassandra only."""
    with _local_spark(settings, base, classpath, folder) as (spark, own):
        for defect in defects:
            name = f"defect_{DEFECTS.index(defect)}"
            pipeline = base.model_copy(update={"name": name, "topic": name, "table": name})
            yield Verdict(defect, _carry(spark, own, pipeline, defect))


@contextmanager
def _local_spark(
    settings: Settings, base: Pipeline, classpath: Sequence[Path], folder: Path
) -> Iterator[tuple[SparkSession, Settings]]:
    [port] = free_ports(1)
    changes = {"master": "local[2]", "checkpoint": str(folder / "checkpoint"), "max_records_per_batch": RECORDS // 2}
    own = settings.model_copy(
        update={
            "spark": settings.spark.model_copy(update=changes),
            "ports": settings.ports.model_copy(update={"spark_driver_ui": port}),
        }
    )
    spark = app.session(own, base, classpath)
    try:
        yield spark, own
    finally:
        spark.stop()
        _end_driver()


def _end_driver() -> None:
    """Spark keeps its JVM for the next session of this process: to a stack in the same folder it is a process left."""
    gateway, SparkContext._gateway, SparkContext._jvm = SparkContext._gateway, None, None
    if gateway:
        gateway.shutdown()
        gateway.proc.stdin.close()  # by which it ends
        gateway.proc.wait(TIMEOUT_S)


def _carry(spark: SparkSession, settings: Settings, pipeline: Pipeline, defect: Defect) -> Findings:
    expected, run = Expected(), Run(pipeline, pipeline.name)
    with Store(settings.cassandra) as store:
        beside = prepare(settings, pipeline, store)
        sent = list(islice(messages(run, pipeline.name, expected), RECORDS))
        Random(pipeline.name).shuffle(sent)
        defect.publish(settings, sent)
        query = app.start(spark, defect.batches(pipeline, settings, beside, sinks=defect.sinks()))
        try:
            query.processAllAvailable()
        finally:
            query.stop()
    return check(settings, Topic(pipeline), ledger.account(settings, pipeline, run.id), expected)
