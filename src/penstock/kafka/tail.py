"""The next message of a topic, whichever partition it comes to: for whoever wants one now and then, not all."""

from collections.abc import Iterable

from confluent_kafka import OFFSET_END, KafkaException, TopicPartition

from penstock.kafka.client import Client
from penstock.kafka.messages import Received
from penstock.kafka.read import is_end, open_for_heads, received


class Tail:
    """Fetches nothing between two calls of `next`; a context manager."""

    def __init__(self, client: Client, topic: str, partitions: Iterable[int]) -> None:
        self._client = client
        self._places = [TopicPartition(topic, number, OFFSET_END) for number in partitions]
        self._consumer = open_for_heads(client)

    def __enter__(self) -> "Tail":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def next(self, timeout_s: float) -> Received | None:
        """The first message that is written from now on; None if none is within the time.

        Raises:
            BrokerError: the topic cannot be read.
        """
        try:
            self._consumer.assign(self._places)
            message = self._consumer.poll(timeout_s)
            while message is not None and is_end(self._client, message):
                message = self._consumer.poll(timeout_s)
            self._consumer.unassign()
        except KafkaException as exception:
            raise self._client.error("following a topic", exception.args[0]) from exception
        return None if message is None else received(message)
