"""Kafka with a real ZooKeeper, as their services declare them."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from penstock.config import Settings, StackSettings
from penstock.errors import ServiceError
from penstock.services.java import find_java
from penstock.services.kafka import kafka
from penstock.services.spec import NotReady
from penstock.services.zookeeper import wait_until_gone, zookeeper
from tests.services.servers import kill, running
from tests.services.test_kafka_server import create, held, produce
from tests.stacks import settings_in

PLACE = "/brokers/ids/1"


@pytest.fixture
def zookeeping(tmp_path: Path) -> Settings:
    """Settings of a home that runs Kafka with ZooKeeper."""
    return settings_in(tmp_path / "home", StackSettings(kafka="zookeeper"))


def test_broker_and_zookeeper_killed_together_come_back_with_every_record(zookeeping: Settings) -> None:
    with running(zookeeper, zookeeping) as keeper, running(kafka, zookeeping) as broker:
        create(zookeeping.ports.kafka, "kept")
        produce(zookeeping.ports.kafka, "kept", *(b"%d" % number for number in range(20_000)))
        kill(broker)
        kill(keeper)
    with running(zookeeper, zookeeping), running(kafka, zookeeping):
        assert held(zookeeping.ports.kafka, "kept") == 20_000


def test_a_broker_holds_its_place_and_goes_on_when_its_zookeeper_was_killed(zookeeping: Settings) -> None:
    holder = f"{PLACE}.*another broker with the same id"
    with ExitStack() as servers:
        keeper = servers.enter_context(running(zookeeper, zookeeping))
        broker = servers.enter_context(running(kafka, zookeeping))
        with pytest.raises(ServiceError, match=holder):
            wait_until_gone(zookeeping, PLACE, 0.5)
        kill(keeper)
        servers.enter_context(running(zookeeper, zookeeping))
        create(zookeeping.ports.kafka, "later")
        produce(zookeeping.ports.kafka, "later", b"value")
        assert held(zookeeping.ports.kafka, "later") == 1
        kill(broker)  # gently it would wait for its zookeeper, which leaves first


def test_is_not_ready_while_nobody_listens(zookeeping: Settings) -> None:
    with pytest.raises(NotReady, match=f"no answer to srvr from 127.0.0.1:{zookeeping.ports.zookeeper}"):
        zookeeper(zookeeping, find_java(zookeeping)).probe()
