"""A client of a broker, apart from ours: makes topics, publishes, counts."""

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TIMEOUT_S = 30


TEN_MEGABYTES = 10_000_000


def create(port: int, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(TIMEOUT_S)


def produce(port: int, topic: str, *values: bytes) -> None:
    """Returns when each value is acknowledged."""
    failures: list[object] = []
    producer = Producer(
        {"bootstrap.servers": f"127.0.0.1:{port}", "acks": "all", "message.max.bytes": 2 * TEN_MEGABYTES}
    )
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(TIMEOUT_S) == 0
    assert failures == []


def held(port: int, topic: str) -> int:
    """How many records the topic holds."""
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{port}", "group.id": "nobody"})
    try:
        offsets = [consumer.get_watermark_offsets(TopicPartition(topic, number), TIMEOUT_S) for number in (0, 1)]
    finally:
        consumer.close()
    return sum(high - low for low, high in offsets)
