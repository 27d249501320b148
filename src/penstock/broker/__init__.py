"""Kafka: topics made on purpose, messages published with a receipt for each, topics read from one offset to another.

The only package that knows confluent-kafka; its exceptions end here, as `BrokerError`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from heapq import nlargest
from typing import Self

from penstock.broker import publish, read
from penstock.broker.client import LARGEST_LETTER_BYTES, LARGEST_MESSAGE_BYTES, Client
from penstock.broker.messages import Message, Offsets, Receipts, Received
from penstock.broker.topics import Topics, View
from penstock.config import KafkaSettings
from penstock.contract import Pipeline
from penstock.errors import BrokerError

__all__ = [
    "LARGEST_LETTER_BYTES",
    "LARGEST_MESSAGE_BYTES",
    "Broker",
    "Message",
    "Offsets",
    "Receipts",
    "Received",
    "View",
]


class Broker:
    """One Kafka cluster. A cluster that comes up within `delivery_timeout_s` is waited for; then each call raises.

    Not for use by several threads at once.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = Client(settings)
        self._topics = Topics(self._client)
        self._consumers = read.Consumers(partial(read.open_consumer, self._client))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is buffered between two calls; the other connections close with the object."""
        self._consumers.close()

    def ensure_topics(self, pipeline: Pipeline) -> None:
        """Makes the pipeline's topic and its dead letters if they are absent; returns when both can be written.

        A topic that is there is never changed: more partitions would move keys between them. If it has fewer than asked
        for, that is logged. Kafka never deletes dead letters: a letter is the only copy of its record.
        """
        for topic, partitions in self._topics.ensure(pipeline, self._settings).items():
            read.held(self._client, self._consumers, topic, partitions)

    def publish(self, messages: Iterable[Message], on_progress: Callable[[int], None] = lambda _: None) -> Receipts:
        """Sends every message and waits for every receipt.

        Messages are taken only as fast as receipts come, so memory does not grow with their number. If `messages`
        raises, what was sent before is still awaited. `on_progress` gets the number acknowledged so far.

        Raises:
            DeliveryError: the first message that was not acknowledged; nothing more was taken after it.
        """
        return publish.publish(self._client, messages, on_progress)

    def offsets(self, topic: str) -> dict[int, Offsets]:
        """Partition -> what it holds at this moment.

        Raises:
            BrokerError: also when the topic does not exist.
        """
        partitions = self._topics.partitions([topic])[topic]
        if partitions is None:
            raise BrokerError(f"topic {topic} does not exist on {self._client.address}; `penstock ingest` makes it.")
        return read.held(self._client, self._consumers, topic, partitions)

    def cluster(self, topics: Iterable[str] = ()) -> View:
        """The brokers with the addresses they give to clients, and those of the topics that are there."""
        return self._topics.cluster(topics)

    def versions(self, brokers: Iterable[int]) -> Mapping[int, str]:
        """Broker -> the Kafka whose protocol it speaks, e.g. 2.8-IV1 or "4.0 or newer"; empty where untold."""
        return self._topics.versions(brokers)

    def identity(self, topic: str) -> str:
        """What tells the topic from one of the same name that was made later; empty where there is none."""
        return self._topics.identity(topic)

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]:
        """The messages from `start` up to and without `end`, both partition -> offset; in order within a partition.

        By default from the first message to the last one that is there when the reading begins. Joins no consumer group
        and commits nothing. What Kafka has deleted already is left out.
        """
        start, end = start or {}, end or {}
        spans = {
            number: Offsets(max(span.first, start.get(number, 0)), min(span.end, end.get(number, span.end)))
            for number, span in self.offsets(topic).items()
        }
        return read.read(self._client, self._consumers, topic, spans)

    def tail(self, topic: str, count: int) -> list[Received]:
        """The newest `count` messages of all partitions, the newest first."""
        start = {number: span.end - count for number, span in self.offsets(topic).items()}
        return nlargest(count, self.read(topic, start=start), key=lambda m: (m.timestamp_ms, m.offset, m.partition))
