"""The streaming app as its own process, on a Spark of its own, between the stack's Kafka and Cassandra."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from penstock.audit import ledger
from penstock.cassandra import Counts, Row, Store
from penstock.config import Settings
from penstock.errors import StreamError
from penstock.ingest import run_ingest
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header, Reason, to_bytes
from penstock.source import Interval
from rig.stacks import free_ports
from tests.secured import changed
from tests.strangers import transaction
from tests.streaming import OWN, SENT, STOP_TIMEOUT_S, log_of, publish, started, streaming, taken, user
from tests.waiting import TIMEOUT_S, until

READS = "users: reading"


@pytest.fixture(scope="module")
def settings(stack_settings: Settings, own: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The stack's Kafka and Cassandra, with local Spark, a task slot a partition, and a checkpoint of this module."""
    folder = tmp_path_factory.mktemp("stream")
    (folder / "own_pipeline.py").write_text(OWN.format(own.topic))
    [port] = free_ports(1)
    changes = {"master": "local[4]", "checkpoint": str(folder / "checkpoint"), "epoch_s": 2}
    return stack_settings.model_copy(
        update={
            "pipelines": ("own_pipeline:OWN",),
            "ports": stack_settings.ports.model_copy(update={"spark_driver_ui": port}),
            "spark": stack_settings.spark.model_copy(update=changes),
        }
    )


def row(store: Store, own: Pipeline, key: UUID) -> Row | None:
    return next(store.rows(own, [key]), None)


def settings_of_another_master(settings: Settings) -> Settings:
    """Of one that is not there: a command that names another one for once does without it."""
    [nobody] = free_ports(1)
    return changed(settings, spark={"master": f"spark://127.0.0.1:{nobody}"})


def test_good_messages_become_rows_bad_ones_letters_and_the_newest_wins_in_whatever_order_they_come(
    broker: Broker, own: Pipeline, settings: Settings, store: Store
) -> None:
    good, bad = [to_bytes(user(number)) for number in range(250)], [b"{", b"\xff", to_bytes(user(900)) + b" x"]
    publish(broker, own, [*good, *bad])
    publish(broker, own, [to_bytes(user(1_000, phone="new"))], SENT + timedelta(minutes=1))

    def kept() -> tuple[object, object]:
        found = row(store, own, UUID(int=1_000))
        return (found.values["phone"], found.values["gender"]) if found else (None, None)

    with streaming(settings_of_another_master(settings), "--master", "local[4]") as process:
        until(lambda: taken(settings) == 254)
        publish(broker, own, [to_bytes(user(1_000, phone="old", gender="cleared since"))])
        until(lambda: taken(settings) == 255)
        until(lambda: kept() == ("new", None))
        process.send_signal(signal.SIGINT)  # as gentle a stop as SIGTERM
        assert process.wait(STOP_TIMEOUT_S) == 0
    assert f"reading {own.topic}, real-time" in log_of(settings)
    letters = list(broker.read(own.dead_letter_topic))
    assert store.count(own) == 251
    assert sorted(letter.value or b"" for letter in letters) == sorted(bad)
    assert {letter.headers[Header.REASON] for letter in letters} == {Reason.MALFORMED_JSON, Reason.NOT_UTF8}
    assert [letter for letter in letters if Header.REPLAYS in letter.headers] == []  # what is not known is left out


def test_transactions_of_others_and_added_partitions_are_accounted_for(
    broker: Broker, own: Pipeline, settings: Settings, store: Store
) -> None:
    address, run, number = settings.kafka.bootstrap_servers, f"test__{uuid4()}", len(broker.offsets(own.topic))
    with transaction(address, own.topic, [to_bytes(user(4_000 + n)) for n in range(5)]):
        pass
    with streaming(settings):
        with transaction(address, own.topic, [to_bytes(user(4_100))]):
            run_ingest(settings, own, run, Interval(datetime.now(UTC)), 100)
            assert balance(settings, own, run) == (True, "")
        ledger.wait_until_balanced(settings, own, run, TIMEOUT_S)
        add_partition(settings, own, number)
        late = Producer({"bootstrap.servers": address})
        late.produce(own.topic, to_bytes(user(4_200)), partition=number, headers={Header.RUN.value: b"late"})
        assert late.flush(TIMEOUT_S) == 0
        # Without a slot for it real-time mode would never read the added one.
        until(lambda: Counts(store, own).position(broker.identity(own.topic)).get(number) == 0)
    assert balance(settings, own, run) == balance(settings, own, "late") == (False, "")
    assert list(store.rows(own, [UUID(int=4_000 + n) for n in (0, 1, 2, 3, 4, 100)])) == []
    assert Counts(store, own).batch_of(number, 0) is not None
    store.define(f"DELETE FROM {own.keyspace}.{own.table} WHERE id = {UUID(int=4_200)}")  # noqa: S608 - our own names
    assert "passed 1 items" in balance(settings, own, "late")[1]


def test_what_a_stream_that_begins_at_the_end_left_out_is_not_in_flight_and_its_jvm_takes_the_app_along(
    broker: Broker, own: Pipeline, settings: Settings, tmp_path: Path
) -> None:
    """Nothing comes after that. At the end its JVM dies, which ends the app."""
    other = own.model_copy(update={"topic": f"{own.topic}_latest", "table": f"{own.table}_latest"})
    (tmp_path / "own_pipeline.py").write_text(OWN.format(other.topic))
    publish(broker, other, [to_bytes(user(number)) for number in range(3)])
    ends = {number: span.end for number, span in broker.offsets(other.topic).items()}
    late = changed(settings, spark={"checkpoint": str(tmp_path / "checkpoint"), "starting_offsets": "latest"})
    process = started(late)
    try:
        with Store(settings.cassandra) as store:
            counts, identity = Counts(store, other), broker.identity(other.topic)
            counts.ensure()
            until(lambda: counts.position(identity) == {number: end - 1 for number, end in ends.items() if end})
        assert "passed 3 items" in balance(settings, other, "r")[1]
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        assert process.wait(STOP_TIMEOUT_S) == StreamError.exit_code
    finally:
        process.kill()


def balance(settings: Settings, own: Pipeline, run: str) -> tuple[bool, str]:
    """Whether something is in flight, and what is wrong; from the data."""
    [found] = ledger.reconcile_deeply(settings, own, run)
    return found.account.in_flight > 0, found.problem


def add_partition(settings: Settings, own: Pipeline, there: int) -> None:
    kafka = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for added in kafka.create_partitions([NewPartitions(own.topic, there + 1)]).values():
        added.result(TIMEOUT_S)


def test_kill_9_leaves_nothing(settings: Settings) -> None:
    before = log_of(settings).count(READS)
    process = started(settings)
    until(lambda: log_of(settings).count(READS) > before)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert psutil.wait_procs(children, STOP_TIMEOUT_S)[1] == []


def test_checkpoint_of_another_topic_is_refused_in_plain_words(own: Pipeline, settings: Settings) -> None:
    other = own.model_copy(update={"topic": f"{own.topic}_other"})
    (Path(settings.spark.checkpoint).parent / "other_pipeline.py").write_text(
        f"from own_pipeline import OWN\nOTHER = OWN.model_copy(update=dict(topic={other.topic!r}))\n"
    )
    process = started(settings.model_copy(update={"pipelines": ("other_pipeline:OTHER",)}))
    assert process.wait(TIMEOUT_S) == StreamError.exit_code
    assert f"marks how far topic {own.topic} was read" in log_of(settings)
