"""A disk that is full under a server: nothing acknowledged is lost, and the server is back as soon as there is room."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock.cassandra import Counts, Store, durable
from penstock.config import Settings
from penstock.errors import BackupError, DeliveryError, StoreError
from penstock.kafka import Broker, Message
from penstock.launcher import control
from penstock.launcher.state import Phase
from penstock.servers.backup import backup
from penstock.users import USERS
from rig.stacks import settings_in, start
from tests.disks import MEBIBYTE, filled, small_disk
from tests.waiting import until

MOST = 1_000
"""Messages, or rows, of 100 kB: more than any disk here holds."""
FEW = 5
KEPT = f"{USERS.keyspace}.kept"
INSERT = f"INSERT INTO {KEPT} (id, value) VALUES (?, ?)"  # noqa: S608 - names of the declaration
SELECT = f"SELECT id FROM {KEPT}"  # noqa: S608 - as above


@contextmanager
def stack_on(settings: Settings, name: str, size_mib: int) -> Iterator[Path]:
    """One server of the stack, with its data on a disk of its own."""
    place = settings.home / "data" / name
    with small_disk(place, size_mib):
        try:
            start(settings, name)
            yield place
        finally:
            control.down(settings)


def said_of(settings: Settings, name: str) -> str:
    return control.status(settings, memory=False).service(name).error


def is_ready(settings: Settings, name: str) -> bool:
    return control.status(settings, memory=False).service(name).state is Phase.READY


def publish_until_refused(broker: Broker) -> DeliveryError:
    """What becomes of messages of 100 kB, numbered by their keys, on the one partition of their topic."""
    messages = (
        Message(USERS.topic, str(number).encode(), os.urandom(100_000), {}, datetime.now(UTC)) for number in range(MOST)
    )
    with pytest.raises(DeliveryError) as refused:
        broker.publish(messages)
    return refused.value


def test_kafka_keeps_what_it_acknowledged_and_comes_back(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "home")
    kafka = settings.kafka.model_copy(update={"delivery_timeout_s": 8, "partitions": 1})
    with stack_on(settings, "kafka", 64) as place, Broker(kafka) as broker:
        broker.ensure_topics(USERS)
        with filled(place, but_mib=8):
            error = publish_until_refused(broker)
            until(lambda: f"The disk of {place} is full: make room there" in said_of(settings, "kafka"))
        until(lambda: is_ready(settings, "kafka"))
        kept = {int(message.key or b"") for message in broker.read(USERS.topic)}
    assert error.acknowledged > 10
    assert kept >= set(range(error.acknowledged))
    assert "penstock status" in str(error)


@contextmanager
def rows_of(settings: Settings) -> Iterator[Store]:
    """A store with a table of rows that are numbered."""
    with Store(settings.cassandra) as store:
        Counts(store, USERS).ensure()
        store.define(f"CREATE TABLE {KEPT} (id int PRIMARY KEY, value blob)")
        yield store


def insert_until_refused(store: Store) -> int:
    """How many rows of 100 kB were acknowledged and said to be on the disk, a few at a time."""
    for first in range(0, MOST, FEW):
        try:
            with durable(store, USERS):
                for number in range(first, first + FEW):
                    store.execute(INSERT, (number, os.urandom(100_000)))
        except StoreError:
            return first
    raise AssertionError(f"{MOST} rows were acknowledged")


@pytest.mark.thorough  # Kafka, which full disks end at once, is tried each time
def test_cassandra_keeps_what_it_acknowledged_and_comes_back(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "home")
    with stack_on(settings, "cassandra", 192) as place:
        with rows_of(settings) as store, filled(place, but_mib=20):
            acknowledged = insert_until_refused(store)
            until(lambda: f"MiB of free disk in {place}: make room there" in said_of(settings, "cassandra"))
        until(lambda: is_ready(settings, "cassandra"))
        with Store(settings.cassandra) as store:
            kept = {row["id"] for row in store.execute(SELECT, ())}
    assert acknowledged > 10
    assert kept >= set(range(acknowledged))


def test_a_backup_without_room_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    home, place = tmp_path / "home", tmp_path / "small"
    (home / "data").mkdir(parents=True)
    (home / "data" / "large").write_bytes(os.urandom(MEBIBYTE))
    with small_disk(place, 32), pytest.raises(BackupError, match="MiB of room, and a backup of"):
        backup(Settings(home=home).resolved(), place / "stack.tar.gz", lambda *_: None)
