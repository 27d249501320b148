"""Messages to publish, messages that were read, and receipts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from penstock.pipelines.contract import Pipeline, Record
from penstock.pipelines.record import Rejected, from_message

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def moment(since_epoch: int, unit: timedelta = MILLISECOND) -> datetime:
    """The moment that so many units after 1970 mean; the first or the last one of the calendar where they leave it.

    A producer may send any number, microseconds by mistake for instance.
    """
    try:
        return EPOCH + since_epoch * unit
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if since_epoch > 0 else datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish. `timestamp` is aware: when the API's answer was received; Kafka keeps milliseconds."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Mapping[str, str]
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it stands in a topic. Of headers with one name the last counts; what is not UTF-8 is escaped."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]
    timestamp_ms: int
    """Since 1970, UTC; times 1,000 it is the write time in Cassandra."""
    is_brokers_time: bool = False
    """Whether the broker set the timestamp (`message.timestamp.type=LogAppendTime`), not the producer."""

    @property
    def timestamp(self) -> datetime:
        return moment(self.timestamp_ms)

    def judged(self, pipeline: Pipeline) -> Record | Rejected:
        """The record that it holds, or why the stream makes a dead letter of it."""
        return from_message(pipeline, self.value, self.headers, self.timestamp_ms, is_brokers=self.is_brokers_time)

    @property
    def key_text(self) -> str:
        """The key as text, empty where there is none; what is not UTF-8 is escaped."""
        return (self.key or b"").decode("utf-8", "backslashreplace")

    @property
    def origin(self) -> str:
        """`topic/partition/offset`: the key of its dead letter, if it has one."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True)
class Receipts:
    """How many messages were sent and acknowledged; `bytes` counts their values before compression."""

    sent: int
    acknowledged: int
    bytes: int
    by_topic: Mapping[str, int]
    """Topic -> messages acknowledged."""
    last: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(topic, partition) -> offset of the last one there."""


class Offsets(NamedTuple):
    """The offsets of one partition that can be read, from `first` up to and without `end`.

    As long as a transaction is open, `end` is where it begins. Not every offset is a message, see `read.read`.
    """

    first: int
    end: int
