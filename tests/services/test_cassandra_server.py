"""The real Cassandra, as its service declares it."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4
from zipfile import ZipFile

import pytest
from cassandra.cluster import Cluster, Session
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.query import BatchStatement, BatchType
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from penstock.cassandra import Counts, Flow, Report, Store, durable
from penstock.config import CassandraSettings, Settings
from penstock.errors import StoreError
from penstock.launcher.service import NotReady
from penstock.pipelines.cql import RESERVED_IN_CQL
from penstock.servers import cql
from penstock.servers.cassandra import cassandra
from penstock.servers.jars import classpath
from penstock.users import USERS
from rig.stacks import settings_in
from tests.services.servers import Server, kill, running

ROWS = 5_000
TABLE = "CREATE TABLE tests.kept (id uuid PRIMARY KEY, value text)"
INSERT = "INSERT INTO tests.kept (id, value) VALUES (?, ?)"
IDS = "SELECT id FROM tests.kept"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A node for every test that leaves it alive, with a table `tests.kept`."""
    settings = settings_in(tmp_path_factory.mktemp("cassandra") / "home")
    settings = settings.model_copy(update={"cassandra": CassandraSettings(datacenter="harbour")})
    with running(cassandra, settings):
        define(settings)
        yield settings


@contextmanager
def connected(settings: Settings) -> Iterator[Session]:
    with Cluster(["127.0.0.1"], port=settings.ports.cassandra, protocol_version=5) as cluster:
        yield cluster.connect()


def define(settings: Settings) -> None:
    with connected(settings) as session:
        session.execute("CREATE KEYSPACE tests WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
        session.execute(TABLE)


def insert(settings: Settings, ids: list[UUID]) -> None:
    """Returns when each row is acknowledged."""
    with connected(settings) as session:
        rows = [(id_, "value") for id_ in ids]
        execute_concurrent_with_args(session, session.prepare(INSERT), rows, concurrency=64)


def ids_in(settings: Settings) -> set[UUID]:
    with connected(settings) as session:
        return {row.id for row in session.execute(IDS)}


def test_takes_a_large_batch_of_many_partitions(node: Settings) -> None:
    ids = [uuid4() for _ in range(64)]
    with connected(node) as session:
        batch = BatchStatement(BatchType.UNLOGGED)
        for id_ in ids:
            batch.add(session.prepare(INSERT), (id_, "x" * 10_000))
        session.execute(batch)
    assert set(ids) <= ids_in(node)


def test_takes_a_value_of_ten_megabytes(node: Settings) -> None:
    with connected(node) as session:
        session.execute(session.prepare(INSERT), (uuid4(), "x" * 10_000_000), timeout=30)


def test_listens_on_loopback_only(node: Settings) -> None:
    # 127.0.0.2 stands for every other address of the machine.
    for port in (node.ports.cassandra, node.ports.cassandra_storage):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), 3)


def with_lag(settings: Settings, lag_ms: int) -> Settings:
    return settings.model_copy(
        update={"cassandra": settings.cassandra.model_copy(update={"commit_log_lag_ms": lag_ms})}
    )


@pytest.mark.thorough
def test_keeps_acknowledged_rows_over_kill_9_where_nobody_waits(settings: Settings) -> None:
    settings = with_lag(settings, 0)
    ids = [uuid4() for _ in range(ROWS)]
    with running(cassandra, settings) as server:
        define(settings)
        insert(settings, ids)
        kill(server)
    with running(cassandra, settings):
        assert ids_in(settings) == set(ids)


def test_keeps_what_was_waited_for_over_kill_9_and_on_other_ports(settings: Settings, tmp_path: Path) -> None:
    settings = with_lag(settings, 1_000)  # so long that without the wait rows would surely be lost
    ids = [uuid4() for _ in range(ROWS)]
    with running(cassandra, settings) as server, Store(settings.cassandra) as store:
        define(settings)
        Counts(store, USERS).ensure()
        with durable(store, USERS):
            insert(settings, ids)
        kill(server)
    moved = settings.model_copy(update={"ports": settings_in(tmp_path).ports})
    with running(cassandra, moved):
        assert ids_in(moved) == set(ids)


@pytest.mark.thorough
def test_a_node_that_was_killed_and_came_back_meanwhile_has_kept_nothing_for_sure(settings: Settings) -> None:
    with running(cassandra, settings) as server, Store(settings.cassandra) as store:
        Counts(store, USERS).ensure()
        with pytest.raises(StoreError, match="was started again"):
            restart_meanwhile(settings, server, store)


def restart_meanwhile(settings: Settings, server: Server, store: Store) -> None:
    with ExitStack() as closing, durable(store, USERS):
        kill(server)
        closing.enter_context(running(cassandra, settings))
        until_it_answers(store)


def until_it_answers(store: Store) -> None:
    for attempt in Retrying(retry=retry_if_exception_type(StoreError), stop=stop_after_attempt(60), wait=wait_fixed(1)):
        with attempt:
            store.execute("SELECT key FROM system.local", ())


def test_counts_of_an_older_version_get_the_column_that_they_lack(node: Settings) -> None:
    pipeline = USERS.model_copy(update={"keyspace": "older_version"})
    report = Report(235, 235, 0, datetime.now(UTC).replace(microsecond=0), {0: 1})
    with Store(node.resolved().cassandra) as store:
        Counts(store, pipeline).ensure()
        store.define("ALTER TABLE older_version.penstock_runs DROP distinct_items")
        counts = Counts(store, pipeline)
        counts.ensure()
        counts.report(Flow("old", "a"), report)
        counts.report(Flow("new", "a"), replace(report, distinct=101))
        assert {run.run: run.reports["a"].distinct for run in counts.runs()} == {"old": None, "new": 101}


def test_names_its_data_centre_after_the_setting(node: Settings) -> None:
    with connected(node) as session:
        assert session.execute("SELECT data_center FROM system.local").one().data_center == "harbour"


def test_is_not_ready_while_nobody_listens(free_port: int) -> None:
    with pytest.raises(NotReady, match=f"no CQL on 127.0.0.1:{free_port}"):
        cql.ask("127.0.0.1", free_port)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b"", "closed in mid-answer", id="silent"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "the answer is not CQL", id="another protocol"),
        pytest.param(b"\x84\0\0\0\x00\0\0\0\x0b\0\0\x10\x01\0\x05busy!", "error 'busy!'", id="an error"),
        pytest.param(b"\x84\0\0\0\x03\0\0\0\0", "opcode 3", id="wants authentication"),
    ],
)
def test_is_not_ready_by_an_answer_that_is(answer: bytes, said: str) -> None:
    with answering_once(answer) as port, pytest.raises(NotReady, match=said):
        cql.ask("127.0.0.1", port)


@contextmanager
def answering_once(answer: bytes) -> Iterator[int]:
    """The port of a server that gives this answer to whatever it is asked first."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(serve)
        yield server.getsockname()[1]


def test_words_that_a_declaration_may_not_use_are_those_that_cassandra_reserves(settings: Settings) -> None:
    [jar] = (path for path in classpath(settings, "cassandra") if path.name.startswith("cassandra-all-"))
    with ZipFile(jar) as files:
        reserved = files.read("org/apache/cassandra/cql3/reserved_keywords.txt").decode()
    assert set(reserved.lower().split()) == RESERVED_IN_CQL
