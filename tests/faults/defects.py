"""The tester is tested: defects that a pipeline could have, planted behind the stream's seams, and what catches each.

Each one runs for real: published to Kafka, carried by Spark into Cassandra, checked like any round of faults.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from confluent_kafka import Producer
from pyspark import SparkContext
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.audit import ledger
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.ingest import Run
from penstock.kafka import Broker, Message
from penstock.pipelines.contract import Pipeline
from penstock.stream import Seams, app
from penstock.stream.epochs import Epochs, prepare
from penstock.stream.judge import WRITETIME
from penstock.stream.mode import Mode
from penstock.stream.query import start
from penstock.stream.sink import LETTER, OFFSET, PARTITION, REJECTED
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
    seams: Seams = field(default_factory=Seams)
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


def _in_time() -> Column:
    """Not of the last epoch, which was committed by a process that ended before it wrote."""
    return F.col(OFFSET) < 300


def _behind(outgoing: DataFrame) -> DataFrame:
    return outgoing.where(F.col(REJECTED) | _in_time())


def _letters_behind(outgoing: DataFrame) -> DataFrame:
    return outgoing.withColumn(LETTER, F.when(_in_time(), F.col(LETTER)))


def _few_dropped(outgoing: DataFrame) -> DataFrame:
    return outgoing.where(F.col(REJECTED) | (F.col(PARTITION) != 1) | ~F.col(OFFSET).between(7, 10))


def _random_ids(outgoing: DataFrame) -> DataFrame:
    # Spark's own `uuid()` has a seed from when it was planned, and would begin anew with each task.
    return outgoing.withColumn("id", F.expr("reflect('java.util.UUID', 'randomUUID')"))


def _swapped(outgoing: DataFrame) -> DataFrame:
    return outgoing.withColumns({"first_name": F.col("last_name"), "last_name": F.col("first_name")})


def _wall_clock(outgoing: DataFrame) -> DataFrame:
    now_us = F.expr("reflect('java.lang.System', 'currentTimeMillis')").cast("bigint") * 1_000
    return outgoing.withColumn(WRITETIME, now_us)


def _shortened(outgoing: DataFrame) -> DataFrame:
    return outgoing.withColumn("address", F.left("address", F.lit(60)))


def _kept(options: Mapping[str, str]) -> Mapping[str, str]:
    """What became absent at the source stays as it was."""
    return {**options, "absent": "keep"}


def _through_text(outgoing: DataFrame) -> DataFrame:
    """As a letter that passes through text on its way: what is not UTF-8 is replaced."""
    text = F.make_valid_utf8(F.col(LETTER)["value"].cast("string"))
    return outgoing.withColumn(LETTER, F.col(LETTER).withField("value", text.cast("binary")))


def _forgotten(outgoing: DataFrame) -> DataFrame:
    """Bad records are skipped."""
    return outgoing.withColumn(LETTER, F.when(~F.col(REJECTED), F.col(LETTER)))


def _without_one_partition(outgoing: DataFrame) -> DataFrame:
    return outgoing.where(F.col(PARTITION) != 2)


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
    Defect("commit before write", frozenset({"account", "rows"}), Seams(rows=_behind)),
    Defect("letters after commit", frozenset({"account", "letters"}), Seams(rows=_letters_behind)),
    Defect("a few rows dropped", frozenset({"account", "rows"}), Seams(rows=_few_dropped)),
    Defect("random ids", frozenset({"account", "rows", "nothing else"}), Seams(rows=_random_ids)),
    Defect("two columns swapped", frozenset({"account", "rows"}), Seams(rows=_swapped)),
    Defect("wall-clock write times", frozenset({"rows"}), Seams(rows=_wall_clock)),
    Defect("a long value cut", frozenset({"account", "rows"}), Seams(rows=_shortened)),
    Defect("absent values kept", frozenset({"account", "rows"}), Seams(options=_kept)),
    Defect("letters through text", frozenset({"letters"}), Seams(rows=_through_text)),
    Defect("bad records skipped", frozenset({"account", "letters"}), Seams(rows=_forgotten)),
    Defect("a partition dropped", frozenset({"account", "rows"}), Seams(rows=_without_one_partition)),
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
    changes = {"master": "local[4]", "checkpoint": str(folder / "checkpoint"), "max_records_per_batch": RECORDS // 2}
    own = settings.model_copy(
        update={
            "spark": settings.spark.model_copy(update=changes),
            "ports": settings.ports.model_copy(update={"spark_driver_ui": port}),
        }
    )
    spark = app.session(own, base.app_name, classpath)
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
    expected, run = Expected(pipeline.keys.names), Run(pipeline, pipeline.name)
    with Store(settings.cassandra) as store:
        beside = prepare(settings, pipeline, store)
        sent = list(islice(messages(run, pipeline.name, expected), RECORDS))
        Random(pipeline.name).shuffle(sent)
        defect.publish(settings, sent)
        epochs = Epochs(pipeline, settings, beside, seams=defect.seams)
        start(spark.newSession(), epochs, Mode.MICRO_BATCH, availableNow=True).awaitTermination()
    return check(settings, Topic(pipeline), ledger.account(settings, pipeline, run.id), expected)
