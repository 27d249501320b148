"""How far a stream has come, read from its own checkpoint."""

import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

from penstock.config import Settings
from penstock.pipelines.contract import Pipeline

_BEGINNING = "sources/0/0"


def checkpoint(settings: Settings, pipeline: Pipeline) -> str:
    """Folder or URL of the pipeline's checkpoint. Without it every message is written again, which changes nothing."""
    return f"{settings.spark.checkpoint}/{pipeline.name}"


def clear_unfinished(spark: SparkSession, place: str) -> None:
    """Removes what a kill in the very first write to a checkpoint leaves: files under their provisional names.

    Spark would refuse them for ever (STATE_STORE_CHECKPOINT_LOCATION_NOT_EMPTY), although nothing of it was committed:
    the stream begins where a new one does. A checkpoint with one finished file stays as it is.
    """
    jvm: Any = spark.sparkContext._jvm
    conf: Any = spark.sparkContext._jsc.hadoopConfiguration()
    folders = [jvm.org.apache.hadoop.fs.Path(f"{place}/{name}") for name in ("offsets", "commits")]
    system = folders[0].getFileSystem(conf)
    found = [one.getPath() for folder in folders if system.exists(folder) for one in system.listStatus(folder)]
    if all(path.getName().startswith(".") for path in found):
        for path in found:
            system.delete(path, False)


def clear_uncommitted(spark: SparkSession, place: str) -> None:
    """Removes the offsets of an epoch that was not committed: real-time mode decides anew where it ends.

    Spark 4.2.0 would do the epoch, find that its offsets are written already, and end (CONCURRENT_STREAM_LOG_UPDATE),
    each time: `MicroBatchExecution.markMicroBatchEnd`. A micro-batch that was interrupted leaves such offsets, and so
    does a kill between Spark's two last writes of an epoch.
    """
    offsets, commits = (_numbered(spark, f"{place}/{name}") for name in ("offsets", "commits"))
    for number in offsets.keys() - range(max(commits, default=-1) + 1):
        offsets[number].getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).delete(offsets[number], False)


def _numbered(spark: SparkSession, folder: str) -> dict[int, Any]:
    """Number of an epoch -> the path of its file in one of Spark's logs."""
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(folder)
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    found = [one.getPath() for one in system.listStatus(path)] if system.exists(path) else []
    return {int(each.getName()): each for each in found if each.getName().isdecimal()}


class Progress:
    """The offsets of a stream's epochs."""

    def __init__(self, spark: SparkSession, place: str, topic: str) -> None:
        jvm: Any = spark.sparkContext._jvm
        # Hadoop's, because a checkpoint may be on any of its file systems. Kept: each part of a name asks the JVM.
        self._path, self._text = jvm.org.apache.hadoop.fs.Path, jvm.org.apache.commons.io.IOUtils.toString
        self._conf: Any = spark.sparkContext._jsc.hadoopConfiguration()
        self._spark, self._place, self._topic = spark, place, topic

    def next_number(self) -> int:
        """The number of the epoch after the last one that was committed."""
        return max(_numbered(self._spark, f"{self._place}/commits"), default=-1) + 1

    def begins(self, number: int) -> Mapping[int, int]:
        """Partition -> where epoch `number` begins: at the end of the one before, or where the source began.

        Of the partitions that were there then.
        """
        return self._offsets(f"offsets/{number - 1}") if number else self.beginning() or {}

    def beginning(self) -> Mapping[int, int] | None:
        """Partition -> the first offset that the stream reads; None before Spark has decided that."""
        path = self._path(f"{self._place}/{_BEGINNING}")
        return self._offsets(_BEGINNING) if path.getFileSystem(self._conf).exists(path) else None

    def _offsets(self, name: str) -> Mapping[int, int]:
        """The source's offsets are JSON in the last line: `OffsetSeqLog`, `KafkaSourceInitialOffsetWriter` of 4.2.0."""
        path = self._path(f"{self._place}/{name}")
        file = path.getFileSystem(self._conf).open(path)
        try:
            text = self._text(file, "UTF-8")
        finally:
            file.close()
        found: Mapping[str, int] = json.loads(text.splitlines()[-1]).get(self._topic, {})
        return {int(partition): offset for partition, offset in found.items()}
