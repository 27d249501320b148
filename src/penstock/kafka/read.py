"""Reading from one offset to another, without a consumer group."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.cimpl import Message as KafkaMessage
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from penstock.kafka.client import READER, Client
from penstock.kafka.messages import Offsets, Received

GROUP = "penstock-reader"
"""Required by librdkafka, which asks who coordinates it; never joined."""
_AT_ONCE = 2_000
_READ_AHEAD_KIB = 16 * 1024


# What a partition answers until its leader is ready, or while it has another one: measured right after a creation.
_LEADERLESS = frozenset(
    (
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_PARTITION,
    )
)


class Consumers:
    """The consumers of one cluster: kept open for the next read, but for one that met an error.

    Two reads at once have one each.
    """

    def __init__(self, open_one: Callable[[], Consumer]) -> None:
        self._open_one = open_one
        self._idle: list[Consumer] = []

    @contextmanager
    def one(self) -> Iterator[Consumer]:
        """Lends a consumer to which nothing is assigned. The block has to unassign again what it assigned."""
        consumer = self._idle.pop() if self._idle else self._open_one()
        try:
            yield consumer
        except BaseException:  # it may still have something assigned, or know a leader that is none any more
            consumer.close()
            raise
        self._idle.append(consumer)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def held(client: Client, consumers: Consumers, topic: str, partitions: list[int]) -> dict[int, Offsets]:
    """Partition -> what it holds for these consumers, as each one's leader says.

    Waits until each partition has a leader: then it can be written too.
    """

    def ask(partition: int) -> Offsets:
        with consumers.one() as consumer:
            try:
                return Offsets(
                    *consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=client.timeout_s)
                )
            except KafkaException:
                consumer.poll(0)  # serves the callback that keeps the cause
                raise

    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, KafkaException) and _code(error) in _LEADERLESS),
        stop=stop_after_delay(client.timeout_s),
        wait=wait_fixed(0.05),
        reraise=True,
    )
    try:
        return {number: retrying(ask, number) for number in partitions}
    except KafkaException as exception:
        raise client.error(f"asking for the offsets of {topic}", exception.args[0]) from exception


def _code(exception: KafkaException) -> int:
    code: int = exception.args[0].code()
    return code


def read(client: Client, consumers: Consumers, topic: str, spans: dict[int, Offsets]) -> Iterator[Received]:
    """The messages of these `spans`, partition -> offsets; in order within a partition.

    Not every offset is a message: transactions leave marks, and what an aborted one had written is left out. So a
    partition is also at its end when its leader says so.
    """
    left = {number: span for number, span in spans.items() if span.first < span.end}
    if not left:
        return
    with consumers.one() as consumer:
        consumer.assign([TopicPartition(topic, number, span.first) for number, span in left.items()])
        for message in _messages(client, consumer, left):
            at_end = is_end(client, message)
            partition, offset = _number(message.partition()), _number(message.offset())
            span = left.get(partition)
            if span and not at_end and offset < span.end:
                yield received(message)
            if span and not at_end and offset + 1 < span.end:
                left[partition] = Offsets(offset + 1, span.end)
            elif span:
                del left[partition]
                consumer.incremental_unassign([TopicPartition(topic, partition)])


def heads(client: Client, consumers: Consumers, topic: str, spans: dict[int, Offsets]) -> dict[int, Received]:
    """Partition -> the first message that stands in its span; without partitions whose span holds no message.

    For consumers of `open_for_heads`, which fetch no more than a batch of each partition.
    """
    left = {number: span for number, span in spans.items() if span.first < span.end}
    found: dict[int, Received] = {}
    with consumers.one() as consumer:
        consumer.assign([TopicPartition(topic, number, span.first) for number, span in left.items()])
        heard_s = time.monotonic()
        while left:
            message = consumer.poll(0.2)
            if message is None:
                if time.monotonic() - heard_s > client.timeout_s:
                    raise client.error("reading", KafkaError(KafkaError._TIMED_OUT, "no message came"))
                continue
            heard_s = time.monotonic()
            at_end, partition = is_end(client, message), _number(message.partition())
            if partition in left:
                if not at_end and _number(message.offset()) < left[partition].end:
                    found[partition] = received(message)
                del left[partition]
                consumer.incremental_unassign([TopicPartition(topic, partition)])
    return found


def open_for_heads(client: Client) -> Consumer:
    """A consumer that is given one batch of a partition at a time, however little of it is wanted."""
    return open_consumer(client, fetch_message_max_bytes="1", queued_min_messages="1")


def open_consumer(client: Client, **more: str) -> Consumer:
    """`more` are options of it."""
    return Consumer(
        client.options(
            **READER,
            group_id=GROUP,
            enable_auto_commit=False,
            enable_partition_eof=True,
            # What was deleted under the reader is an error, not a gap that nobody sees.
            auto_offset_reset="error",
            queued_max_messages_kbytes=_READ_AHEAD_KIB,
            **more,
        )
    )


def _messages(client: Client, consumer: Consumer, left: dict[int, Offsets]) -> Iterator[KafkaMessage]:
    """Messages and ends of partitions, until the caller has nothing `left`; its limit is the silence between two."""
    heard_s = time.monotonic()
    while left:
        # librdkafka waits for as many as are asked for: asking for more than there are costs the whole wait.
        missing = sum(span.end - span.first for span in left.values())
        batch = consumer.consume(min(missing, _AT_ONCE), 0.2)
        yield from batch
        if batch:
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > client.timeout_s:
            raise client.error("reading", KafkaError(KafkaError._TIMED_OUT, "no message came"))


def is_end(client: Client, message: KafkaMessage) -> bool:
    """Whether it says that a partition has no more for now.

    Raises:
        BrokerError: it says that the partition cannot be read.
    """
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise client.error(f"reading {message.topic()}/{message.partition()}", error)
    return error is not None


def received(message: KafkaMessage) -> Received:
    """The message as ours."""
    # Kept with each batch of messages: what the topic's property was when they were published, not what it is now.
    kind, timestamp_ms = message.timestamp()
    return Received(
        topic=message.topic() or "",
        partition=_number(message.partition()),
        offset=_number(message.offset()),
        key=message.key(),
        value=message.value(),
        headers={name: _text(value) for name, value in dict(message.headers() or ()).items()},
        timestamp_ms=timestamp_ms,
        is_brokers_time=kind == TIMESTAMP_LOG_APPEND_TIME,
    )


def _number(value: int | None) -> int:
    if value is None:
        raise ValueError("a message that was read has a partition and an offset")
    return value


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value or ""
