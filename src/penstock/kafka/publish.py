"""Publishing: idempotent, acknowledged by all in-sync replicas, one receipt a message."""

from collections import Counter
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.cimpl import Message as KafkaMessage

from penstock.errors import DeliveryError
from penstock.kafka.client import LARGEST_LETTER_BYTES, WRITER, Client
from penstock.kafka.messages import EPOCH, MILLISECOND, Message, Receipts

# What waits in the producer at most; beyond either, publishing waits for receipts. More gains nothing: decisions/050.
_WAITING_MESSAGES = 10_000
_WAITING_KIB = 64 * 1024
# Messages. To look for receipts after each one costs time: decisions/154.
_RECEIPTS_EVERY = 100
_PROGRESS_EVERY = 100


def publish(client: Client, messages: Iterable[Message], on_progress: Callable[[int], None]) -> Receipts:
    """See `Broker.publish`."""
    delivery = _Delivery(on_progress)
    producer = _producer(client)
    try:
        for message in messages:
            _send(producer, message, delivery)
            if delivery.failure:
                break
    finally:
        _settle(producer, delivery)
    if delivery.failure:
        topic, error = delivery.failure
        raise DeliveryError(topic, delivery.sent, delivery.acknowledged, client.explain(error))
    on_progress(delivery.acknowledged)
    return delivery.receipts()


class _Delivery:
    """Counts what was sent and what came back; `failure` is the first message's that was not acknowledged."""

    def __init__(self, on_progress: Callable[[int], None]) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.failure: tuple[str, KafkaError] | None = None
        self._bytes = 0
        self._by_topic: Counter[str] = Counter()
        self._last: dict[tuple[str, int], int] = {}
        self._on_progress = on_progress

    def count_sent(self, message: Message) -> None:
        self.sent += 1
        self._bytes += len(message.value)

    def count_receipt(self, error: KafkaError | None, message: KafkaMessage) -> None:
        topic = message.topic() or ""
        if error is not None:
            self.failure = self.failure or (topic, error)
            return
        self.acknowledged += 1
        self._by_topic[topic] += 1
        self._keep_last(topic, message.partition(), message.offset())
        if self.acknowledged % _PROGRESS_EVERY == 0:
            self._on_progress(self.acknowledged)

    def receipts(self) -> Receipts:
        return Receipts(self.sent, self.acknowledged, self._bytes, dict(self._by_topic), dict(self._last))

    def _keep_last(self, topic: str, partition: int | None, offset: int | None) -> None:
        if partition is not None and offset is not None:
            self._last[topic, partition] = max(offset, self._last.get((topic, partition), offset))


def _producer(client: Client) -> Producer:
    return Producer(
        client.options(
            **WRITER,
            delivery_timeout_ms=round(client.timeout_s * 1_000),
            queue_buffering_max_messages=_WAITING_MESSAGES,
            queue_buffering_max_kbytes=_WAITING_KIB,
            message_max_bytes=LARGEST_LETTER_BYTES,
            # With several, those behind one that brokers out of sync refuse get a new epoch, and some a copy.
            max_in_flight_requests_per_connection=1,
            # The Java clients' choice of partition, so that a key has one partition whoever writes it.
            partitioner="murmur2_random",
        )
    )


def _send(producer: Producer, message: Message, delivery: _Delivery) -> None:
    headers: list[tuple[str, str | bytes | None]] = [
        (name, value.encode("utf-8", "backslashreplace")) for name, value in message.headers.items()
    ]
    timestamp_ms = (message.timestamp - EPOCH) // MILLISECOND
    delivery.count_sent(message)
    while not delivery.failure:
        try:
            producer.produce(
                *(message.topic, message.value, message.key),
                on_delivery=delivery.count_receipt,
                timestamp=timestamp_ms,
                headers=headers,
            )
        except BufferError:  # full: receipts make room, and each message gets one by its time-out
            producer.poll(0.5)
        except KafkaException as exception:  # refused before it was sent, e.g. too large
            delivery.failure = (message.topic, exception.args[0])
        else:
            if delivery.sent % _RECEIPTS_EVERY == 0:
                producer.poll(0)
            return


def _settle(producer: Producer, delivery: _Delivery) -> None:
    """Awaits the receipt of all that was sent; after a failure nothing more is tried."""
    if delivery.failure:
        producer.purge()
    # Every message ends by `delivery.timeout.ms`. Short waits, so that Ctrl-C is noticed.
    while producer.flush(0.5):
        if delivery.failure:
            producer.purge()
