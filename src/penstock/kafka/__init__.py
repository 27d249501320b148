"""Kafka: topics made on purpose, messages published with a receipt for each, topics read from one offset to another.

The only package of the pipeline that knows confluent-kafka; its exceptions end here, as `BrokerError`. What a message
means does not belong here, but in `pipelines`; the broker of the local stack is in `servers`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from heapq import nlargest
from typing import Self

from penstock.config import KafkaSettings
from penstock.errors import BrokerError
from penstock.kafka import publish, read
from penstock.kafka.client import LARGEST_LETTER_BYTES, LARGEST_MESSAGE_BYTES, Client
from penstock.kafka.messages import Message, Offsets, Receipts, Received
from penstock.kafka.properties import Flaw
from penstock.kafka.roles import Publisher, Topics
from penstock.kafka.tail import Tail
from penstock.kafka.topics import Administration, View
from penstock.pipelines.contract import Pipeline

__all__ = [
    "LARGEST_LETTER_BYTES",
    "LARGEST_MESSAGE_BYTES",
    "Broker",
    "Flaw",
    "Message",
    "Offsets",
    "Publisher",
    "Receipts",
    "Received",
    "Tail",
    "Topics",
    "View",
]


class Broker:
    """One Kafka cluster. A cluster that comes up within `delivery_timeout_s` is waited for; then each call raises.

    Not for use by several threads at once.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client = Client(settings)
        self._topics = Administration(self._client)
        self._consumers = read.Consumers(partial(read.open_consumer, self._client))
        self._heads = read.Consumers(partial(read.open_for_heads, self._client))
        self._uncommitted = read.Consumers(
            partial(read.open_consumer, self._client, isolation_level="read_uncommitted")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is buffered between two calls; the other connections close with the object."""
        self._consumers.close()
        self._heads.close()
        self._uncommitted.close()

    def ensure_topics(self, pipeline: Pipeline) -> None:
        """Makes the pipeline's topic and its dead letters if they are absent; returns when both can be written.

        A topic that is there is never changed: more partitions would move keys between them. What is wrong with it is
        logged, also fewer partitions than asked for. Kafka never deletes dead letters that are made here: a letter is
        the only copy of its record.

        Raises:
            TopicError: a topic that is there has a property that breaks the promise.
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
        """Partition -> what can be read of it at this moment; asks anew for the partitions, for some may be added.

        Raises:
            BrokerError: also when the topic does not exist.
        """
        return read.held(self._client, self._consumers, topic, self._partitions(topic))

    def written(self, topic: str) -> dict[int, int]:
        """Partition -> offset of the next message that will be written there, whatever transactions are open.

        What stands between `Offsets.end` and that cannot be read yet.
        """
        every = read.held(self._client, self._uncommitted, topic, self._partitions(topic))
        return {number: span.end for number, span in every.items()}

    def cluster(self, topics: Iterable[str] = ()) -> View:
        """The brokers with the addresses they give to clients, and those of the topics that are there."""
        return self._topics.cluster(topics)

    def versions(self, brokers: Iterable[int]) -> Mapping[int, str]:
        """Broker -> the Kafka whose protocol it speaks, e.g. 2.8-IV1 or "4.0 or newer"; empty where untold."""
        return self._topics.versions(brokers)

    def flaws(self, pipeline: Pipeline) -> Mapping[str, Sequence[Flaw] | None]:
        """Topic -> what is wrong with it, None where its configuration is not shown to us; of those that are there."""
        return self._topics.flaws(pipeline, self._settings)

    def identity(self, topic: str) -> str:
        """Kafka's id of the topic, which one of the same name made later does not have; empty where there is none."""
        return self._topics.identity(topic)

    def partitions(self, topic: str) -> int:
        """How many partitions it has at this moment."""
        return len(self._partitions(topic))

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]:
        """The messages from `start` up to and without `end`, both partition -> offset; in order within a partition.

        By default from the first message to the last one that is there when the reading begins; with `end` only the
        partitions that it names. Joins no consumer group and commits nothing. What Kafka has deleted already is left
        out.
        """
        start = start or {}
        spans = {
            number: Offsets(max(span.first, start.get(number, 0)), min(span.end, (end or {}).get(number, span.end)))
            for number, span in self.offsets(topic).items()
            if end is None or number in end
        }
        return read.read(self._client, self._consumers, topic, spans)

    def heads(self, topic: str, spans: Mapping[int, Offsets]) -> dict[int, Received]:
        """Partition -> the first message of its span, which must lie in what the partition holds; without partitions
        that have none there. Fetches little, however long the span is.
        """
        return read.heads(self._client, self._heads, topic, dict(spans))

    def follow(self, topic: str) -> Tail:
        """A `Tail`, which waits for the next message of the topic as often as it is asked."""
        return Tail(self._client, topic, self._partitions(topic))

    def tail(self, topic: str, count: int) -> list[Received]:
        """The newest `count` messages of all partitions, the newest first."""
        held, back = self.offsets(topic), count
        end = {number: span.end for number, span in held.items()}
        while True:
            start = {number: last - back for number, last in end.items()}
            read = self.read(topic, start=start, end=end)
            found = nlargest(count, read, key=lambda m: (m.timestamp_ms, m.offset, m.partition))
            if len(found) == count or all(start[number] <= span.first for number, span in held.items()):
                return found
            back *= 4  # not every offset is a message

    def _partitions(self, topic: str) -> list[int]:
        partitions = self._topics.partitions([topic])[topic]
        if partitions is None:
            raise BrokerError(f"topic {topic} does not exist on {self._client.address}; `penstock ingest` makes it.")
        return partitions
