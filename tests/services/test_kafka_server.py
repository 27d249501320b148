"""The real broker, as its service declares it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Producer

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.launcher.service import NotReady
from penstock.servers.java import find_java
from penstock.servers.kafka import kafka
from rig.stacks import settings_in
from tests.services.kafka_client import TEN_MEGABYTES, TIMEOUT_S, create, held, produce
from tests.services.servers import kill, running


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker for every test that leaves it alive."""
    settings = settings_in(tmp_path_factory.mktemp("kafka") / "home")
    with running(kafka, settings):
        yield settings


def cluster_id(settings: Settings) -> str:
    found = re.search(r"cluster\.id=(\S+)", (settings.home / "data/kafka/meta.properties").read_text("utf-8"))
    assert found
    return found[1]


def test_takes_topics_and_records_on_both_listeners(broker: Settings) -> None:
    create(broker.ports.kafka_internal, "both")
    produce(broker.ports.kafka, "both", b"outside")
    produce(broker.ports.kafka_internal, "both", b"inside")
    assert held(broker.ports.kafka, "both") == 2


def test_creates_no_topic_by_itself(broker: Settings) -> None:
    producer = Producer({"bootstrap.servers": f"127.0.0.1:{broker.ports.kafka}"})
    asked_for = producer.list_topics("nobody-made-it", TIMEOUT_S).topics["nobody-made-it"]
    assert asked_for.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert "nobody-made-it" not in producer.list_topics(timeout=TIMEOUT_S).topics


def test_takes_a_value_of_ten_megabytes(broker: Settings) -> None:
    create(broker.ports.kafka, "large")
    produce(broker.ports.kafka, "large", bytes(TEN_MEGABYTES))
    assert held(broker.ports.kafka, "large") == 1


def test_keeps_acknowledged_records_over_kill_9_and_on_other_ports(settings: Settings, tmp_path: Path) -> None:
    with running(kafka, settings) as server:
        create(settings.ports.kafka, "kept")
        produce(settings.ports.kafka, "kept", *(b"%d" % number for number in range(20_000)))
        kill(server)
    first = cluster_id(settings)
    moved = settings.model_copy(update={"ports": settings_in(tmp_path).ports})
    with running(kafka, moved):
        assert held(moved.ports.kafka, "kept") == 20_000
    assert cluster_id(moved) == first


def test_says_what_formatting_the_storage_said(settings: Settings) -> None:
    (settings.home / "data").mkdir(parents=True)
    (settings.home / "data" / "kafka").touch()
    with pytest.raises(ServiceError, match=r"(?s)could not be formatted.*exit code 1.*data/kafka"):
        kafka(settings, find_java(settings)).prepare()


def test_is_not_ready_while_nobody_listens(settings: Settings) -> None:
    with pytest.raises(NotReady, match=f"nothing listens on 127.0.0.1:{settings.ports.kafka}"):
        kafka(settings, find_java(settings)).probe()
