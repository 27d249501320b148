"""The bulk of a deep account, joined by Spark: which messages are stored beyond doubt.

No verdict is given here. What is proved is only counted, by run; every other message is named, for the ledger, which
judges it as it judges all of them without Spark (docs/decisions/266).

A key is proved where the row shows all that each of its messages has (`_is_shown`), of whatever run they are. It is
left to the ledger where one of them is anything else (a deletion, a replay, rejected by a letter, of an item that is of
another key too, not stored yet), or where the row has a value that is newer than all of them. So no item and no row of
a proved key has to do with what the ledger gets.
"""

import json
import logging
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it
from pyspark.storagelevel import StorageLevel

from penstock.config import Settings
from penstock.errors import StreamError
from penstock.kafka import Offsets
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header
from penstock.stream.alone import alone, spark_alone
from penstock.stream.app import stop_requests
from penstock.stream.connectors.kafka import source_options
from penstock.stream.judge import ORIGIN, WRITETIME, deletes, header, is_replay, message_origin, transform
from penstock.stream.query import LOOK_S

log = logging.getLogger(__name__)

_MESSAGES_A_TASK = 50_000
_FEW = 100_000
"""Letters whose origins every task may keep in memory."""
_AT_ONCE = 10_000
"""Offsets that come to this process in one row."""
_NO_KEY = b"\xff"
"""Begins the key of a message that holds no record; that of a record begins with the length of its first part."""
_LETTER = b""
"""Key of a dead letter, among the messages of its item."""

Spans = Mapping[int, Offsets]


class Stored(NamedTuple):
    """The proved part of one run: so many different items and keys in so many messages."""

    messages: int
    items: int
    keys: int


@dataclass(frozen=True)
class Proof:
    """`stored` is by run; `left` has, by partition, the offsets of all other messages in their order."""

    stored: Mapping[str, Stored]
    left: Mapping[int, Sequence[int]]


def prove(
    settings: Settings,
    pipeline: Pipeline,
    jars: Sequence[Path],
    spans: Mapping[str, Spans],
    on_progress: Callable[[int, int], None],
) -> Proof:
    """Joins the messages of these spans with the table; `spans` is of the topic and of its dead letters.

    Memory does not grow with what is proved, and takes 8 bytes for each message that is left. Spark runs in this
    process. `on_progress` gets messages judged and messages there are. The environment must name a Java 17
    (`JAVA_HOME`).

    Raises:
        StreamError: Spark could not be started, or ended, or was told to stop.
    """
    own, doing = alone(settings), f"joining {pipeline.topic} and {pipeline.table}"
    total = _count(spans[pipeline.topic])
    parts = _parts(spans[pipeline.topic])
    conf = {
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": str(parts),
        # Seconds. A busy machine may take more than Spark's five minutes for what is small in the end.
        "spark.sql.broadcastTimeout": "3600",
    }
    with stop_requests() as stopping, spark_alone(own, doing, pipeline.app_name, jars, conf) as spark:
        join = Join(spark, own, pipeline, spans)
        with ThreadPoolExecutor(1) as executor:
            working = executor.submit(join.proof)
            _follow(working, spark, stopping, lambda: on_progress(min(join.judged, total), total))
        if stopping.is_set():
            raise StreamError(f"{doing} was told to stop; nothing was changed")
        proof = working.result()
    proved_messages = sum(one.messages for one in proof.stored.values())
    log.info("%s: Spark proved %d of %d messages stored", pipeline.name, proved_messages, total)
    return proof


def _follow(working: Future[Proof], spark: SparkSession, stopping: Event, look: Callable[[], None]) -> None:
    while wait((working,), LOOK_S).not_done:
        look()
        if stopping.is_set():
            spark.sparkContext.cancelAllJobs()


class Join:
    """Topic, dead letters and table, as Spark has them."""

    def __init__(self, spark: SparkSession, settings: Settings, pipeline: Pipeline, spans: Mapping[str, Spans]) -> None:
        self._spark, self._settings, self._pipeline, self._spans = spark, settings, pipeline, spans
        self._jvm: Any = spark.sparkContext._jvm
        self._judged: Any = spark.sparkContext._jsc.sc().longAccumulator("judged")

    @property
    def judged(self) -> int:
        """Messages so far."""
        return int(self._judged.value())

    def proof(self) -> Proof:
        """Works until all of it is read and joined."""
        letters = self._read(self._pipeline.dead_letter_topic)
        few = _count(self._spans[self._pipeline.dead_letter_topic]) <= _FEW
        rejected = origins(letters, self._pipeline)
        messages = self._messages().join(F.broadcast(rejected) if few else rejected, ["partition", "offset"], "left")
        found = proved(shown(messages, self._rows(), self._pipeline), items(letters))
        found.persist(StorageLevel.DISK_ONLY)
        return Proof(_stored(found), _left(found))

    def _read(self, topic: str) -> DataFrame:
        """The messages of the topic's spans, with the columns `ORIGIN`."""
        spans = self._spans[topic]
        found = (
            self._spark.read.format("kafka")
            .options(**source_options(self._settings.kafka))
            .option("assign", json.dumps({topic: list(spans)}))
            .option("startingOffsets", json.dumps({topic: {str(n): span.first for n, span in spans.items()}}))
            .option("endingOffsets", json.dumps({topic: {str(n): span.end for n, span in spans.items()}}))
            .option("minPartitions", _parts(spans))
            .option("includeHeaders", "true")
            # As the streaming source names its groups, so that both are allowed by one right.
            .option("groupIdPrefix", "spark-kafka-source")
            .load()
        )
        return found.select(*ORIGIN)

    def _messages(self) -> DataFrame:
        pipeline = self._pipeline
        names = [column.name for column in pipeline.columns]
        judged = with_record(transform(self._read(pipeline.topic), pipeline), pipeline)
        made = self._jvm.penstock.stream.Cells.ofRecords(
            judged._jdf,
            [column.cql for column in pipeline.columns],
            [names.index(name) for name in pipeline.keys.names],
            [names.index(column.name) for column in pipeline.cells],
            self._judged,
        )
        found = DataFrame(made, self._spark)
        place = F.concat_ws("/", "partition", "offset").cast("binary")
        return found.withColumn("key", F.coalesce("key", F.concat(F.lit(_NO_KEY), place)))

    def _rows(self) -> DataFrame:
        pipeline = self._pipeline
        cells = [column.name for column in pipeline.cells]
        made = self._jvm.penstock.stream.Cells.ofTable(
            self._spark._jsparkSession,
            *(pipeline.keyspace, pipeline.table, list(pipeline.keys.names), cells),
            _parts(self._spans[pipeline.topic]),
        )
        return DataFrame(made, self._spark)


def with_record(transformed: DataFrame, pipeline: Pipeline) -> DataFrame:
    """The columns that the join needs of the result of `judge.transform`; the record's come last, null without a
    record. `plain`: a record of its run like any other, which its row can show.
    """
    good = F.col("reason").isNull()
    run, item = _text(Header.RUN, F.lit("")), _text(Header.ITEM, message_origin())
    plain = good & ~deletes(pipeline) & ~is_replay() & F.is_valid_utf8(run) & F.is_valid_utf8(item)
    # A header without a value is no absent one for the ledger.
    named = F.col("origin.headers")["key"]
    plain &= ~F.coalesce(F.array_contains(named, Header.ITEM.value) & header(Header.ITEM).isNull(), F.lit(False))
    return transformed.select(
        F.col("origin.partition").alias("partition"),
        F.col("origin.offset").alias("offset"),
        run.alias("run"),
        item.alias("item"),
        F.col(WRITETIME).alias("written_us"),
        plain.alias("plain"),
        *(F.when(good, F.col("record")[column.name]).alias(f"record_{column.name}") for column in pipeline.columns),
    )


def origins(letters: DataFrame, pipeline: Pipeline) -> DataFrame:
    """The places of the messages that letters name, whatever else the letters say."""
    key, form = F.col("key").cast("string"), rf"^\Q{pipeline.topic}\E/(\d{{1,9}})/(\d{{1,18}})\z"
    partition, offset = F.regexp_extract(key, form, 1), F.regexp_extract(key, form, 2)
    named = letters.select(
        partition.try_cast("int").alias("partition"),
        offset.try_cast("bigint").alias("offset"),
        F.lit(True).alias("rejected"),
    )
    return named.where(F.col("partition").isNotNull()).distinct()


def items(letters: DataFrame) -> DataFrame:
    """The items that letters name: those of ingest's are of their run as those of messages are."""
    origin = letters.select(F.struct(*ORIGIN).alias("origin"))
    key = F.coalesce(F.col("origin.key").cast("string"), F.lit(""))
    return origin.select(_text(Header.RUN, F.lit("")).alias("run"), _text(Header.ITEM, key).alias("item")).distinct()


def shown(messages: DataFrame, rows: DataFrame, pipeline: Pipeline) -> DataFrame:
    """Each message, with `stored`, whether its row shows all that it has, and with the newest write time of the row."""
    stored = F.col("plain") & F.col("rejected").isNull() & F.col("times_us").isNotNull() & _is_shown(pipeline)
    return messages.join(rows, "key", "left").select(
        *("partition", "offset", "run", "item", "key", "written_us"),
        F.coalesce(stored, F.lit(False)).alias("stored"),
        F.coalesce(F.array_max("times_us"), F.col("written_us")).alias("newest_us"),
    )


def proved(messages: DataFrame, rejected_items: DataFrame) -> DataFrame:
    """The result of `shown` with a column `proved`, the same for all messages of a key."""
    of_item, of_key = Window.partitionBy("run", "item"), Window.partitionBy("key")
    letters = rejected_items.withColumn("key", F.lit(_LETTER))
    one_key = F.min("key").over(of_item) == F.max("key").over(of_item)
    every = F.every(F.col("stored") & F.col("one_key")).over(of_key)
    newest = F.max("written_us").over(of_key) >= F.max("newest_us").over(of_key)
    return (
        messages.unionByName(letters, allowMissingColumns=True)
        .withColumn("one_key", one_key)
        .where(F.col("key") != F.lit(_LETTER))
        .withColumn("proved", every & newest)
        .select("partition", "offset", "run", "item", "key", "proved")
    )


def _is_shown(pipeline: Pipeline) -> Column:
    """Whether the row shows the record beyond doubt: less than what `audit.ledger.difference` calls stored."""
    written = F.col("written_us")
    times = {column.name: F.col("times_us")[place] for place, column in enumerate(pipeline.cells)}
    required = [times[column.name] > written for column in pipeline.cells if column.required]
    # A newer record wrote over all of it, so that it cleared what is unset.
    replaced = reduce(and_, required) if required and pipeline.absent == "clear" else F.lit(False)
    each = [F.lit(True)]
    for place, (_, time) in enumerate(times.items()):
        expected, found = F.col("cells")[place], F.col("found")[place]
        same = (time == written) & (expected == found)
        absent = expected.isNull() & (time.isNull() | (time < written if pipeline.absent == "keep" else F.lit(False)))
        each.append(F.coalesce((time > written) | same | absent | (time.isNull() & replaced), F.lit(False)))
    return reduce(and_, each)


def _text(name: Header, otherwise: Column) -> Column:
    return F.coalesce(header(name).cast("string"), otherwise)


def _count(spans: Spans) -> int:
    return sum(span.end - span.first for span in spans.values())


def _parts(spans: Spans) -> int:
    return _count(spans) // _MESSAGES_A_TASK + len(spans)


def _stored(found: DataFrame) -> dict[str, Stored]:
    """An item is of one key, so that they can be counted key by key."""
    each = found.where("proved").groupBy("key", "run", "item").agg(F.count(F.lit(1)).alias("messages"))
    by_key = each.groupBy("key", "run").agg(F.sum("messages").alias("messages"), F.count(F.lit(1)).alias("items"))
    by_run = by_key.groupBy("run").agg(F.sum("messages"), F.sum("items"), F.count(F.lit(1)))
    return {run: Stored(*counts) for run, *counts in by_run.toLocalIterator()}


def _left(found: DataFrame) -> Mapping[int, Sequence[int]]:
    part = F.expr(f"offset div {_AT_ONCE}").alias("part")
    offsets = F.sort_array(F.collect_list("offset"))
    parts = found.where(~F.col("proved")).groupBy("partition", part).agg(offsets).orderBy("partition", "part")
    left: dict[int, array[int]] = {}
    for partition, _, numbers in parts.toLocalIterator():
        left.setdefault(partition, array("q")).extend(numbers)
    return left
