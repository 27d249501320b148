"""What stops a stream says so in plain words, and nothing is lost: each stop on a real one, and the way back."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from penstock.cassandra import Counts, Flow, Row, Store
from penstock.config import Settings, child_environment
from penstock.errors import StoreError, StreamError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import to_bytes
from rig.stacks import free_ports
from tests.disks import filled, small_disk
from tests.streaming import OWN, committed, log_of, publish, started, streaming, suspended, taken, user
from tests.waiting import TIMEOUT_S, until

RECORDS = 120


@pytest.fixture(scope="module")
def settings(stack_settings: Settings, own: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a stream that has stored RECORDS rows and was stopped."""
    settings = elsewhere(stack_settings, own, tmp_path_factory.mktemp("stops"))
    with Broker(settings.kafka) as broker:
        publish(broker, own, [to_bytes(user(number)) for number in range(RECORDS)])
    with streaming(settings):
        until(lambda: committed(settings) == RECORDS)
    return settings


def elsewhere(settings: Settings, own: Pipeline, folder: Path) -> Settings:
    """The same stack, with a stream whose checkpoint and log are in `folder`."""
    (folder / "own_pipeline.py").write_text(OWN.format(own.topic))
    [port] = free_ports(1)
    changes = {"master": "local[4]", "checkpoint": str(folder / "checkpoint"), "epoch_s": 2}
    spark = settings.spark.model_copy(update=changes)
    ports = settings.ports.model_copy(update={"spark_driver_ui": port})
    return settings.model_copy(update={"pipelines": ("own_pipeline:OWN",), "ports": ports, "spark": spark})


@pytest.fixture
def copied(settings: Settings, own: Pipeline, tmp_path: Path) -> Settings:
    """Another stream, which begins with a copy of that checkpoint."""
    shutil.copytree(settings.spark.checkpoint, tmp_path / "checkpoint")
    return elsewhere(settings, own, tmp_path)


@contextmanager
def ending(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A stream that is to end by itself; one that does not is killed."""
    process = started(settings)
    try:
        yield process
    finally:
        process.kill()


def end_of(settings: Settings) -> int:
    """Exit code of a stream that ends by itself."""
    with ending(settings) as process:
        return process.wait(TIMEOUT_S)


def rows(store: Store, own: Pipeline) -> dict[UUID, Row]:
    return {row.values["id"]: row for row in store.rows(own, [UUID(int=number) for number in range(2 * RECORDS)])}


def newest(folder: Path) -> Path:
    return max((path for path in folder.glob("*") if path.name.isdecimal()), key=lambda path: int(path.name))


def test_damaged_checkpoint_is_refused(copied: Settings) -> None:
    newest(Path(copied.spark.checkpoint, "users", "offsets")).write_text("v1\n{")
    assert end_of(copied) == StreamError.exit_code
    assert "is damaged: " in log_of(copied)
    assert "Move the checkpoint away" in log_of(copied)


def test_epoch_without_its_commit_is_done_again_and_counted_once(copied: Settings, own: Pipeline, store: Store) -> None:
    """As a kill between Spark's two last writes leaves a checkpoint, or in the middle of a micro-batch."""
    commits = Path(copied.spark.checkpoint, "users", "commits")
    while committed(copied) == RECORDS:
        number = newest(commits).name
        (commits / number).unlink()
        (commits / f".{number}.crc").unlink(missing_ok=True)
    with streaming(copied):
        until(lambda: committed(copied) == RECORDS)
    [run] = Counts(store, own).runs()
    assert run.tallies[Flow("r", "").attempt].read == RECORDS


def test_nobody_but_its_jvm_calls_the_driver(copied: Settings) -> None:
    """Who could would have it count records that never were."""
    with streaming(copied) as process:
        until(lambda: "penstock.stream.query  users: reading" in log_of(copied))
        listening = [one for one in psutil.Process(process.pid).net_connections("tcp") if one.status == "LISTEN"]
        answers = [asked(one.laddr.port) for one in listening]
    assert answers
    assert not any(answers)


def asked(port: int) -> bytes:
    """What a stranger is answered who asks for the first object of py4j."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, suppress(OSError):
        connection.sendall(b"c\np0\n__repr__\ne\n")
        return connection.recv(99)
    return b""


def begun_and_killed(place: Path) -> None:
    """As kill -9 in the first write of offsets, and of commits, leaves a checkpoint."""
    for folder in ("offsets", "commits"):
        (place / folder).mkdir(parents=True)
        (place / folder / f".0.{uuid4()}.tmp").write_text("v1\n{")
        (place / folder / f"..0.{uuid4()}.tmp.crc").write_bytes(b"crc")


def test_deleted_checkpoint_changes_neither_rows_nor_counts(
    settings: Settings, own: Pipeline, store: Store, tmp_path: Path
) -> None:
    before = rows(store, own)
    anew = elsewhere(settings, own, tmp_path)
    begun_and_killed(Path(anew.spark.checkpoint, "users"))
    with streaming(anew):
        until(lambda: taken(anew) == RECORDS)
    [run] = Counts(store, own).runs()
    assert (len(before), rows(store, own) == before) == (RECORDS, True)
    assert run.tallies[Flow("r", "").attempt].read == RECORDS


def test_second_stream_on_one_checkpoint_is_refused(settings: Settings) -> None:
    begun = log_of(settings).count("reading")
    with streaming(settings) as first:
        until(lambda: log_of(settings).count("reading") > begun)
        [port] = free_ports(1)
        ports = settings.ports.model_copy(update={"spark_driver_ui": port})
        assert end_of(settings.model_copy(update={"ports": ports})) == StreamError.exit_code
        assert f"is held by process {first.pid}. Another stream works on the same checkpoint" in log_of(settings)


@pytest.mark.thorough
def test_full_disk_ends_the_stream_and_room_lets_it_go_on(
    stack_settings: Settings, pipeline: Pipeline, broker: Broker, store: Store, tmp_path: Path
) -> None:
    name, place = f"users_{uuid4().hex[:8]}", tmp_path / "checkpoint"
    other = pipeline.model_copy(update={"topic": name, "table": name})
    settings = elsewhere(stack_settings, other, tmp_path)
    publish(broker, other, [to_bytes(user(1))])
    with small_disk(place, size_mib=1):
        with ending(settings) as process:
            until(lambda: taken(settings) == 1)
            with filled(place, but_mib=0):
                publish(broker, other, [to_bytes(user(2))])
                assert process.wait(TIMEOUT_S) == StreamError.exit_code
                assert end_of(settings) == StreamError.exit_code
        assert log_of(settings).count(f"The disk of {place}/users is full: make room there.") == 2
        with streaming(settings):
            until(lambda: store.count(other) == 2)


def test_changed_table_ends_the_stream_and_a_dropped_one_is_not_silently_begun_anew_but_rebuilt(
    settings: Settings, own: Pipeline, broker: Broker, store: Store
) -> None:
    begun, before = log_of(settings).count("reading"), rows(store, own)
    with ending(settings) as process:
        until(lambda: log_of(settings).count("reading") > begun)
        store.define(f"ALTER TABLE {own.keyspace}.{own.table} DROP phone")
        publish(broker, own, [to_bytes(user(RECORDS))])
        assert process.wait(TIMEOUT_S) == StoreError.exit_code
    assert "is not the declared one: phone is absent" in log_of(settings)
    store.define(f"DROP TABLE {own.keyspace}.{own.table}")
    assert end_of(settings) == StreamError.exit_code
    assert "was dropped and made again" in log_of(settings)
    rebuilt(settings)
    assert rows(store, own).keys() == {*before, UUID(int=RECORDS)}
    assert before.items() <= rows(store, own).items()
    publish(broker, own, [to_bytes(user(RECORDS + 1))])
    with streaming(settings):
        until(lambda: UUID(int=RECORDS + 1) in rows(store, own))
        until(lambda: taken(settings) >= RECORDS + 2)


def rebuilt(settings: Settings) -> None:
    folder = Path(settings.spark.checkpoint).parent
    environment = child_environment({**settings.environment(), "PYTHONPATH": str(folder)})
    command = (sys.executable, "-m", "penstock", "rebuild", "--from-beginning")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "messages read" in done.stdout


@contextmanager
def admin(settings: Settings) -> Iterator[AdminClient]:
    yield AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})


def test_messages_that_expired_before_they_were_read_stop_the_stream(
    settings: Settings, own: Pipeline, broker: Broker
) -> None:
    publish(broker, own, [to_bytes(user(number)) for number in range(40)])
    ends = {TopicPartition(own.topic, number, span.end): span for number, span in broker.offsets(own.topic).items()}
    with admin(settings) as kafka:
        for deleted in kafka.delete_records(list(ends)).values():
            deleted.result()
    assert end_of(settings) == StreamError.exit_code
    assert "Kafka no longer has messages that the checkpoint says were not read yet" in log_of(settings)


def test_topic_that_was_made_again_is_not_read_from_the_middle(
    settings: Settings, own: Pipeline, broker: Broker, tmp_path: Path
) -> None:
    running, said = elsewhere(settings, own, tmp_path), "was deleted and made again since the checkpoint was written"
    publish(broker, own, [to_bytes(user(number)) for number in range(RECORDS)])
    with ending(running) as process:
        until(lambda: taken(running) > 0)
        with suspended(process.pid):
            make_again(settings, own, broker, 6 * RECORDS)
        assert process.wait(TIMEOUT_S) == StreamError.exit_code
    assert said in log_of(running)
    make_again(settings, own, broker, 4)
    assert end_of(settings) == StreamError.exit_code
    assert said in log_of(settings)


def make_again(settings: Settings, own: Pipeline, broker: Broker, messages: int) -> None:
    """Deletes the topic, and makes one with `messages`: with many every offset of a checkpoint exists again, with few
    none does.
    """
    with admin(settings) as kafka:
        for deleted in kafka.delete_topics([own.topic]).values():
            deleted.result()
    until(lambda: broker.identity(own.topic) == "")
    publish(broker, own, [to_bytes(user(number)) for number in range(messages)])
