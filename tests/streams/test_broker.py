"""Kafka as the pipeline uses it, on a real broker."""

import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from penstock.config import KafkaSettings, Settings
from penstock.errors import BrokerError, DeliveryError, TopicError
from penstock.kafka import LARGEST_LETTER_BYTES, LARGEST_MESSAGE_BYTES, Broker, Message, Offsets
from penstock.pipelines.contract import Pipeline
from tests import servers
from tests.strangers import alter, transaction
from tests.waiting import until

# Not long ago: Kafka deletes what is older than its retention, by this time.
AT = datetime.now(UTC).replace(second=0, microsecond=123_000) - timedelta(hours=1)


@pytest.fixture
def kafka(stack_settings: Settings) -> KafkaSettings:
    return stack_settings.kafka


@pytest.fixture
def own(request: pytest.FixtureRequest, broker: Broker, pipeline: Pipeline) -> Pipeline:
    """The pipeline with topics of this test."""
    own = pipeline.model_copy(update={"topic": re.sub(r"[^\w.-]", "_", request.node.name)})
    broker.ensure_topics(own)
    return own


def message(own: Pipeline, number: int, value: bytes = b"{}") -> Message:
    return Message(own.topic, str(number).encode(), value, {"penstock.run": "r"}, AT)


def messages(own: Pipeline, count: int) -> Iterator[Message]:
    return (message(own, number) for number in range(count))


def test_topic_has_the_partitions_that_settings_ask_for(broker: Broker, own: Pipeline, kafka: KafkaSettings) -> None:
    assert len(broker.offsets(own.topic)) == kafka.partitions


def test_dead_letters_have_one_partition(broker: Broker, own: Pipeline) -> None:
    assert broker.offsets(own.dead_letter_topic) == {0: Offsets(0, 0)}


def test_topics_that_are_there_stay_as_they_are(broker: Broker, own: Pipeline) -> None:
    broker.publish(messages(own, 10))
    broker.ensure_topics(own)
    assert sum(span.end for span in broker.offsets(own.topic).values()) == 10


def test_fewer_partitions_than_asked_for_are_reported(
    own: Pipeline, kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with Broker(kafka.model_copy(update={"partitions": kafka.partitions + 4})) as demanding:
        demanding.ensure_topics(own)
    assert f"has {kafka.partitions} partitions, kafka.partitions asks for {kafka.partitions + 4}" in caplog.text


def test_every_message_is_acknowledged(broker: Broker, own: Pipeline) -> None:
    receipts = broker.publish(messages(own, 25_000))  # more than wait in the producer at once
    assert (receipts.sent, receipts.acknowledged, receipts.bytes) == (25_000, 25_000, 50_000)
    assert receipts.by_topic == {own.topic: 25_000}


def test_message_comes_back_as_it_was_sent(broker: Broker, own: Pipeline) -> None:
    headers = {"penstock.run": "manual__2025", "penstock.message": "گل \ud800"}
    broker.publish([Message(own.topic, b"key", "Afşar".encode(), headers, AT)])
    (received,) = broker.read(own.topic)
    assert (received.key, received.value, received.timestamp) == (b"key", "Afşar".encode(), AT)
    assert received.headers == {**headers, "penstock.message": "گل \\ud800"}


def test_message_may_have_neither_key_nor_value(broker: Broker, own: Pipeline) -> None:
    broker.publish([Message(own.topic, None, b"", {}, AT)])
    (received,) = broker.read(own.topic)
    assert (received.key, received.value, received.headers) == (None, b"", {})


def test_one_key_has_one_partition(broker: Broker, own: Pipeline) -> None:
    broker.publish(message(own, number % 3) for number in range(300))
    assert len({(received.key, received.partition) for received in broker.read(own.topic)}) == 3


def test_reading_ends_with_what_was_there_when_it_began(broker: Broker, own: Pipeline) -> None:
    broker.publish(messages(own, 100))
    reading = broker.read(own.topic)
    first = list(islice(reading, 1))
    broker.publish(messages(own, 100))
    assert len(first) + len(list(reading)) == 100


def test_reading_goes_from_offset_to_offset(broker: Broker, own: Pipeline) -> None:
    broker.publish(messages(own, 1_000))
    held = broker.offsets(own.topic)
    start = dict.fromkeys(held, 5)
    end = {number: span.end - 5 for number, span in held.items()}
    assert sum(1 for _ in broker.read(own.topic, start=start, end=end)) == 1_000 - 10 * len(held)


def test_aborted_transaction_is_not_read(broker: Broker, own: Pipeline, kafka: KafkaSettings) -> None:
    broker.publish(messages(own, 20))
    for number in broker.offsets(own.topic):
        with transaction(kafka.bootstrap_servers, own.topic, [b"aborted"] * 100, number):
            pass
    until(lambda: broker.written(own.topic) == {number: span.end for number, span in broker.offsets(own.topic).items()})
    found = list(broker.read(own.topic))
    # More offsets at the end than asked for hold no message.
    assert (
        {received.value for received in broker.tail(own.topic, 20)} == {received.value for received in found} == {b"{}"}
    )
    assert len(found) == len(broker.tail(own.topic, 20)) == 20


def test_what_stands_behind_an_open_transaction_cannot_be_read_yet(
    broker: Broker, own: Pipeline, kafka: KafkaSettings
) -> None:
    with transaction(kafka.bootstrap_servers, own.topic, [b"open"]):
        broker.publish(messages(own, 100))
        held, written = broker.offsets(own.topic), broker.written(own.topic)
        assert (held.pop(0), written.pop(0) > 1) == (Offsets(0, 0), True)
        assert written == {number: span.end for number, span in held.items()}
        assert sum(1 for _ in broker.read(own.topic)) == sum(span.end for span in held.values())
    until(lambda: sum(1 for _ in broker.read(own.topic)) == 100)


def test_with_an_end_only_its_partitions_are_read(broker: Broker, own: Pipeline) -> None:
    broker.publish(messages(own, 100))
    end = {1: broker.offsets(own.topic)[1].end}
    assert {received.partition for received in broker.read(own.topic, end=end)} == {1}
    assert list(broker.read(own.topic, end={})) == []


@pytest.mark.parametrize(
    ("name", "value"), [("message.timestamp.type", "LogAppendTime"), ("cleanup.policy", "compact")]
)
def test_topic_that_breaks_the_promise_is_refused(
    own: Pipeline, broker: Broker, kafka: KafkaSettings, name: str, value: str
) -> None:
    alter(kafka.bootstrap_servers, own.topic, name, value)
    with pytest.raises(TopicError, match=rf"topic {re.escape(own.topic)} is refused: {name} is {value}.*kafka-configs"):
        broker.ensure_topics(own)


def test_message_keeps_whose_time_it_has_when_the_topic_is_set_back(
    own: Pipeline, broker: Broker, kafka: KafkaSettings
) -> None:
    for kind in ("CreateTime", "LogAppendTime", "CreateTime"):
        alter(kafka.bootstrap_servers, own.topic, "message.timestamp.type", kind)
        broker.publish([Message(own.topic, b"one partition", kind.encode(), {}, AT)])
    read = [(received.value, received.is_brokers_time, received.timestamp == AT) for received in broker.read(own.topic)]
    assert read == [(b"CreateTime", False, True), (b"LogAppendTime", True, False), (b"CreateTime", False, True)]


def test_topic_that_may_lose_something_is_reported(
    own: Pipeline, broker: Broker, kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    broker.ensure_topics(own)
    assert caplog.text == ""
    alter(kafka.bootstrap_servers, own.dead_letter_topic, "retention.ms", "3600000")
    broker.ensure_topics(own)
    assert f"topic {own.dead_letter_topic}: retention.ms is 3600000: Kafka deletes letters after 1 hours" in caplog.text


def test_tail_gives_the_newest_first(broker: Broker, own: Pipeline) -> None:
    moments = [AT.replace(second=second) for second in range(60)]
    broker.publish(Message(own.topic, b"%d" % at.second, b"{}", {}, at) for at in moments)
    assert [received.timestamp for received in broker.tail(own.topic, 3)] == moments[:-4:-1]


def test_largest_message_still_fits_a_letter(broker: Broker, own: Pipeline) -> None:
    original = os.urandom(LARGEST_MESSAGE_BYTES - 1_000)  # its headers and frame count as well
    broker.publish([message(own, 1, original), Message(own.dead_letter_topic, b"k", original, {"r": "x" * 5_000}, AT)])
    (letter,) = broker.read(own.dead_letter_topic)
    assert letter.value == original


def test_message_that_is_too_large_is_not_called_delivered(broker: Broker, own: Pipeline) -> None:
    with pytest.raises(DeliveryError, match=r"1 records sent, 0 acknowledged.*MSG_SIZE_TOO_LARGE"):
        broker.publish([message(own, 1, b"x" * (LARGEST_LETTER_BYTES + 1))])


def test_source_that_fails_leaves_what_was_sent_before(broker: Broker, own: Pipeline) -> None:
    def failing() -> Iterator[Message]:
        yield from messages(own, 10)
        raise RuntimeError("the API is gone")

    with pytest.raises(RuntimeError, match="the API is gone"):
        broker.publish(failing())
    assert sum(1 for _ in broker.read(own.topic)) == 10


def test_topic_that_does_not_exist_is_named(broker: Broker) -> None:
    with pytest.raises(BrokerError, match="topic no_such_topic does not exist"):
        broker.offsets("no_such_topic")


def test_publishing_makes_no_topic(kafka: KafkaSettings, pipeline: Pipeline) -> None:
    impatient = kafka.model_copy(update={"delivery_timeout_s": 1})
    with Broker(impatient) as broker, pytest.raises(DeliveryError, match="topic no_such_topic"):
        broker.publish([message(pipeline.model_copy(update={"topic": "no_such_topic"}), 1)])


def test_broker_that_is_down_is_named_with_the_remedy(pipeline: Pipeline, free_port: int) -> None:
    down = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port}", delivery_timeout_s=1)
    with Broker(down) as broker, pytest.raises(BrokerError, match=f"127.0.0.1:{free_port}.*refused.*penstock status"):
        broker.ensure_topics(pipeline)


def test_broker_that_comes_up_late_is_waited_for(
    own: Pipeline, kafka: KafkaSettings, free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    late = kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port}", "delivery_timeout_s": 60})
    refused = threading.Event()
    with Broker(late) as broker, ThreadPoolExecutor(1) as pool, told(refused):
        receipts = pool.submit(broker.publish, messages(own, 10))
        assert refused.wait(30)
        with forwarding(free_port, kafka.bootstrap_servers):
            assert receipts.result(60).acknowledged == 10


@contextmanager
def told(refused: threading.Event) -> Iterator[None]:
    """Sets the event when the client says that it was refused."""

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "refused" in record.getMessage():
                refused.set()

    listener, logger = Listener(), logging.getLogger("penstock.kafka")
    logger.addHandler(listener)
    try:
        yield
    finally:
        logger.removeHandler(listener)


@contextmanager
def forwarding(port: int, target: str) -> Iterator[None]:
    """A door to the broker on another port."""
    host, _, number = target.partition(":")

    class Door(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, int(number))) as behind, ThreadPoolExecutor(1) as pool:
                back = pool.submit(pump, behind, self.request)
                pump(self.request, behind)
                back.result()

    class Doors(ThreadingTCPServer):
        allow_reuse_address = True

    with servers.answering(Doors(("127.0.0.1", port), Door)):
        yield


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # the other side is gone, which ends both ways
        sink.close()
