"""Ports that somebody else holds: all of them found at once, whoever it is, with an offset that is really free."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock.config import Ports, Settings, SparkSettings, read_settings
from penstock.errors import PortTakenError, ServiceError
from penstock.launcher.conflicts import check, conflicts, free_offset, remedy
from penstock.launcher.home import Home
from penstock.launcher.ports import lent_ports
from penstock.launcher.process import MARKER, Process, boot_id
from penstock.launcher.service import Service
from penstock.launcher.state import Phase, Recorded, RecordedService
from penstock.servers.apps import stream
from penstock.servers.java import Java
from penstock.servers.stack import stack
from rig.stacks import free_ports

NOWHERE = Path("nowhere")
LISTENER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    print("listens", flush=True)
    sys.stdin.read()
"""


def service(name: str, *numbers: int) -> Service:
    ports = {f"port-{number}": number for number in numbers}
    return Service(name, ("true",), NOWHERE, probe=lambda: None, folder=NOWHERE, ports=ports)


@contextmanager
def listening(*numbers: int) -> Iterator[None]:
    with ExitStack() as held:
        for number in numbers:
            held.enter_context(socket.create_server(("127.0.0.1", number)))
        yield


@contextmanager
def listener_of(port: int, marker: str) -> Iterator[subprocess.Popen[str]]:
    """A process of some stack that listens there."""
    command = [sys.executable, "-c", LISTENER, str(port)]
    environment = {**os.environ, MARKER: marker}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"
        yield process
        process.stdin.close()


def record(home: Path, name: str, process: Process) -> None:
    Home(home).make()
    one = RecordedService(
        name=name,
        phase=Phase.READY,
        process=process,
        ports={},
        page="",
        log=NOWHERE,
        needs=(),
        stop_signal=15,
        stop_timeout_s=1,
        started_at=datetime.now(UTC),
    )
    Home(home).state.write_text(Recorded(boot=boot_id(), settings={}, request=1, services=(one,)).model_dump_json())


def test_every_port_that_is_taken_is_named_at_once(settings: Settings) -> None:
    one, two, three = free_ports(3)
    services = [service("a", one, two), service("b", three)]
    with listening(two, three), pytest.raises(PortTakenError) as caught:
        check(settings, services, lambda: services)
    said = str(caught.value)
    assert f"a needs port {two}, which is held by " in said
    assert f"; b needs port {three}, which is held by " in said
    assert f"pid {os.getpid()}" in said
    assert not settings.home.exists()


def test_the_advice_is_an_offset_that_is_free_for_all(settings: Settings) -> None:
    services = stack(settings)
    with listening(settings.ports.kafka, settings.ports.postgres + 100, settings.ports.airflow + 200):
        with pytest.raises(PortTakenError) as caught:
            check(settings, services, lambda: services)
        said = str(caught.value)
        found = re.search(r"Give every command --port-offset (\d+), or set PENSTOCK_PORT_OFFSET=\1:", said)
        assert found
        moved = Settings(home=settings.home, ports=settings.ports, port_offset=int(found[1])).resolved()
        check(moved, stack(moved), lambda: services)
    assert int(found[1]) > 200
    assert "Stop" not in said


def test_the_advice_counts_from_the_ports_and_not_from_the_offset_of_now() -> None:
    [port] = free_ports(1)
    settings = Settings(ports=Ports(kafka=port - 100), port_offset=100).resolved()
    assert (settings.ports.kafka, settings.moved_by) == (port, 100)
    services = [service("kafka", port)]
    with listening(port):
        offset = free_offset(services, settings.moved_by)
    assert offset is not None
    assert offset != 100
    assert read_settings(settings.environment()).moved_by == 100


def test_an_offset_never_moves_ports_onto_those_of_now() -> None:
    # 8090 + 1000 is 9090: a stack at 0 and one at 1000 could not both run.
    offset = free_offset([service("a", 8090, 9090)], 0)
    assert offset not in {None, 1_000}


def test_two_stacks_whose_ports_meet_are_told_before_either_starts_more(tmp_path: Path) -> None:
    first, second = (
        Settings(home=tmp_path, ports=Ports(simulator=18_090, spark_master_ui=19_090), port_offset=offset).resolved()
        for offset in (1_000, 2_000)
    )
    assert first.ports.spark_master_ui == second.ports.simulator
    with listening(first.ports.spark_master_ui):
        assert [(one.service, one.port) for one in conflicts(tmp_path, stack(second))] == [("simulator", 20_090)]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell which ports they give away")
def test_ports_that_the_system_lends_come_last() -> None:
    lent = lent_ports()
    offset = free_offset([service("a", lent[0] - 50)], 0)
    assert offset is not None
    assert lent[0] - 50 + offset not in lent or lent[-1] > 65_000


def test_no_offset_at_all_is_said() -> None:
    services = [service("a", 100, 65_500)]
    assert free_offset(services, 0) is None
    assert "choose each by itself" in remedy(Settings(home=NOWHERE), services)


def test_the_holder_may_be_another_stack_of_ours(settings: Settings, tmp_path: Path) -> None:
    [port] = free_ports(1)
    services = [service("kafka", port)]
    with listener_of(port, f"cassandra@{tmp_path / 'other'}"), pytest.raises(PortTakenError) as caught:
        check(settings, services, lambda: services)
    said = str(caught.value)
    assert f"which is cassandra of the Penstock stack in {tmp_path / 'other'}" in said
    assert f"Or stop that other stack: penstock down --home {tmp_path / 'other'}" in said


def test_what_this_home_left_behind_is_no_conflict(settings: Settings) -> None:
    [port] = free_ports(1)
    with listener_of(port, f"kafka@{settings.home}"):
        assert conflicts(settings.home, [service("kafka", port)]) == []


def test_a_service_that_runs_has_its_ports(settings: Settings) -> None:
    [port] = free_ports(1)
    with listening(port):
        record(settings.home, "kafka", Process.current())
        assert conflicts(settings.home, [service("kafka", port)]) == []
        assert len(conflicts(settings.home, [service("other", port)])) == 1


def test_a_connection_is_waited_for(settings: Settings) -> None:
    [port] = free_ports(1)
    services = [service("kafka", port)]
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), source_address=("127.0.0.1", port)),
        pytest.raises(PortTakenError, match="Or wait for that connection to end"),
    ):
        check(settings, services, lambda: services)


def test_fixed_ports_of_the_driver_are_the_streams(settings: Settings) -> None:
    conf = {
        "spark.ui.port": "14041",
        "spark.driver.port": str(settings.ports.cassandra),
        "spark.blockManager.port": "0",
    }
    fixed = settings.model_copy(update={"spark": SparkSettings(conf=conf)})
    assert stream(fixed, Java(NOWHERE, NOWHERE)).ports == {"ui": 14041, "driver": settings.ports.cassandra}
    with pytest.raises(
        ServiceError, match=rf"{settings.ports.cassandra} is wanted by cassandra \(cql\) and stream \(driver\)"
    ):
        stack(fixed)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 must be made first")
def test_each_address_of_a_cluster_is_looked_at(settings: Settings) -> None:
    [port] = free_ports(1)
    nodes = [replace(service(f"kafka-{host}", port), host=host) for host in ("127.0.0.1", "127.0.0.2")]
    with socket.create_server(("127.0.0.2", port)):
        assert [one.service for one in conflicts(settings.home, nodes)] == ["kafka-127.0.0.2"]
        offset = free_offset(nodes, 0)
        assert offset is not None
