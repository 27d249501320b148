"""What others do to a topic that is ours: transactions, and properties that somebody alters."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

TIMEOUT_S = 60


@contextmanager
def transaction(address: str, topic: str, values: Iterable[bytes], partition: int = 0) -> Iterator[None]:
    """Within it these messages are in the topic, and their transaction is open; leaving it aborts the transaction."""
    producer = Producer({"bootstrap.servers": address, "transactional.id": f"test-{uuid4()}"})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(TIMEOUT_S) == 0
    try:
        yield
    finally:
        producer.abort_transaction(TIMEOUT_S)


def alter(address: str, topic: str, name: str, value: str) -> None:
    """Gives a topic another property; returns when its broker says so."""
    admin = AdminClient({"bootstrap.servers": address})  # one that is collected takes its requests with it
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for changed in admin.incremental_alter_configs([resource]).values():
        changed.result(TIMEOUT_S)

    def said() -> bool:
        asked = ConfigResource(ConfigResource.Type.TOPIC, topic)
        return bool(admin.describe_configs([asked])[asked].result(TIMEOUT_S)[name].value == value)

    Retrying(retry=retry_if_result(lambda it: not it), stop=stop_after_delay(TIMEOUT_S), wait=wait_fixed(0.05))(said)
