"""Failures of a stream: before it starts, and when it ended. Each is named together with its remedy.

What Spark raises is told apart by its types and error conditions, never by its sentences.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql.streaming.query import StreamingQuery

from penstock.config import is_url
from penstock.errors import StreamError
from penstock.locks import HeldError, held
from penstock.pipelines.contract import Pipeline

FOREIGN = (PySparkException, Py4JError, ConnectionError)
"""What a call into the driver's JVM may raise; the last one when the JVM is gone."""

# Where the message of a Java exception ends.
_STACK = re.compile(r"\n\s+at |\nJVM stacktrace|\n===")
_FULL_BYTES = 64 * 1024
"""A disk with less room than this is full: a micro-batch writes two small files."""

NEW_CHECKPOINT = (
    "Move the checkpoint away, or name another with spark.checkpoint: {topic} is then read from its beginning, and "
    "rows that are there already stay as they are."
)
MESSAGES_EXPIRED = (
    "Kafka no longer has messages that the checkpoint says were not read yet: they expired (kafka.retention_hours) or "
    "the topic was deleted. Nothing was skipped. What is missing can only be fetched again: run those intervals anew. "
)
DISK_FULL = "The disk of {place} is full: make room there."
CHECKPOINT_IN_USE = (
    "Another stream works on the same checkpoint. Stop one of the two, or give each a spark.checkpoint of its own."
)
# https://github.com/apache/spark/blob/v4.2.0/common/utils/src/main/resources/error/error-conditions.json and
# https://github.com/apache/spark/blob/v4.2.0/connector/kafka-0-10-sql/src/main/resources/error/kafka-error-conditions.json
_REMEDIES = {
    "KAFKA_DATA_LOSS": MESSAGES_EXPIRED + NEW_CHECKPOINT,
    "CONCURRENT_STREAM_LOG_UPDATE": CHECKPOINT_IN_USE,
    "CONCURRENT_QUERY": CHECKPOINT_IN_USE,
    "STATE_STORE_CHECKPOINT_LOCATION_NOT_EMPTY": "The checkpoint has lost files. " + NEW_CHECKPOINT,
    # Real-time mode lets Kafka's own exception through.
    "org.apache.kafka.clients.consumer.OffsetOutOfRangeException": MESSAGES_EXPIRED + NEW_CHECKPOINT,
}


class QueryFailure(Exception):  # noqa: N818 - not an error of its own: the cause of one
    """Why a query ended, as Java has it: pyspark's own exception keeps the causes as text only."""

    def __init__(self, java_exception: Any) -> None:
        self.java_exception = java_exception
        super().__init__(java_exception.toString())


def failure_of(query: StreamingQuery) -> QueryFailure | None:
    """Why the query ended; None where it runs, or was stopped."""
    found: Any = query._jsq.exception()
    return QueryFailure(found.get()) if found.isDefined() else None


def check_room(place: str) -> None:
    """Raises StreamError when a local checkpoint could not be written: Spark would say it in a hundred lines."""
    if is_full(place):
        raise StreamError(DISK_FULL.format(place=place))


def check_checkpoint(place: str, pipeline: Pipeline) -> None:
    """Raises StreamError when a local checkpoint is damaged, or of another topic: to Spark that is lost data."""
    offsets, commits = _numbered(place, "offsets"), _numbered(place, "commits")
    for path in (Path(place, "metadata"), *offsets[-2:], *commits[-2:]):
        if path.exists():
            _read(place, path, pipeline)
    if commits and (not offsets or int(offsets[-1].name) < int(commits[-1].name)):
        raise _damaged(place, f"it has {commits[-1]}, but no file of that number in offsets", pipeline)
    # One JSON object a source stands in the third line: `OffsetSeqLog` of Spark 4.2.0, version 1.
    topics = _read(place, offsets[-1], pipeline)[-1].keys() if offsets else {pipeline.topic}
    if pipeline.topic not in topics:
        raise StreamError(
            f"checkpoint {place} marks how far topic {', '.join(topics)} was read, but pipeline {pipeline.name} reads "
            f"{pipeline.topic}. {NEW_CHECKPOINT.format(topic=pipeline.topic)}"
        )


@contextmanager
def only_one(place: str) -> Iterator[None]:
    """Holds a local checkpoint for this process; the system lets go of it when the process ends, however it does.

    Raises:
        StreamError: another process holds it.
    """
    if not is_local(place):
        yield
        return
    # One file of that name for one checkpoint, by whatever link this process was sent to it.
    lock_file = Path(f"{os.path.realpath(place)}.lock")
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as holding:
        try:
            holding.enter_context(held(lock_file))
        except HeldError as error:
            raise StreamError(f"checkpoint {place} is held by process {error.holder}. {CHECKPOINT_IN_USE}") from error
        yield


def ended(name: str, cause: BaseException | None, place: str, pipeline: Pipeline) -> StreamError:
    """The error of a query that ended by itself: its first cause, and the remedy."""
    if cause is None:
        return StreamError(f"query {name} was stopped from outside; a restart goes on from its checkpoint.")
    remedy = _remedy(cause) or (DISK_FULL.format(place=place) if is_full(place) else "")
    remedy = remedy or "The checkpoint still marks what was stored, and a restart goes on from there."
    return StreamError(
        f"query {name} ended: {first_cause(cause)}. {remedy.format(topic=pipeline.topic)} The whole story is in the "
        "log (`penstock logs stream`)."
    )


def is_final(error: BaseException) -> bool:
    """Whether another attempt ends in the same way, whatever Kafka and Cassandra do meanwhile."""
    return bool(_remedy(error))


def _remedy(error: BaseException) -> str:
    found = (_REMEDIES.get(name, _REMEDIES.get(name.partition(".")[0], "")) for name in _conditions(error))
    return next(filter(None, found), "")


def first_cause(error: BaseException | None) -> str:
    """The first cause in one line: the innermost one of a Java exception, without its stack."""
    text = str(error)
    if isinstance(error, (Py4JJavaError, QueryFailure)):
        *_, cause = _java_causes(error.java_exception)
        text = cause.toString()
    return " ".join(_STACK.split(text, maxsplit=1)[0].split()).rstrip(".") or type(error).__name__


def _conditions(error: BaseException) -> Iterator[str]:
    """Spark's error conditions along the causes, the outermost first; of what has none, the name of its class."""
    found: Any = error
    while found is not None:
        if isinstance(found, PySparkException):
            yield found.getCondition() or ""
        # What the exception was in the JVM: of a `CapturedException`, of a `Py4JJavaError`.
        for cause in _java_causes(getattr(found, "_origin", None) or getattr(found, "java_exception", None)):
            try:
                yield cause.getCondition() or ""
            except Py4JError:  # not one of Spark's own
                yield str(cause.getClass().getName())
        found = getattr(found, "_cause", None)


def _java_causes(exception: Any) -> Iterator[Any]:
    while exception is not None:
        yield exception
        exception = exception.getCause()


def _numbered(place: str, folder: str) -> list[Path]:
    """Files of one of Spark's logs, the newest last."""
    paths = [path for path in Path(place, folder).glob("*") if path.name.isdecimal()]
    return sorted(paths, key=lambda path: int(path.name))


def _read(place: str, path: Path, pipeline: Pipeline) -> list[dict[str, Any]]:
    """The JSON objects of one file, whose first line may name its version."""
    try:
        lines = [line for line in path.read_text("utf-8").splitlines() if line not in ("v1", "-")]
        read = [json.loads(line) for line in lines]
    except ValueError as error:
        raise _damaged(place, f"{path} cannot be read ({error})", pipeline) from error
    if not read or not all(isinstance(part, dict) for part in read):
        raise _damaged(place, f"{path} is empty or no JSON", pipeline)
    return read


def _damaged(place: str, what: str, pipeline: Pipeline) -> StreamError:
    return StreamError(f"checkpoint {place} is damaged: {what}. {NEW_CHECKPOINT.format(topic=pipeline.topic)}")


def is_local(place: str) -> bool:
    """Whether a checkpoint is a folder of this machine."""
    return not is_url(place)


def is_full(place: str) -> bool:
    """Whether the disk of a local checkpoint has no room for two more small files."""
    if not is_local(place):
        return False
    there = next(folder for folder in (Path(place).absolute(), *Path(place).absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free < _FULL_BYTES
