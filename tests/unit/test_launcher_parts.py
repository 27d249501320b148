"""The launcher's parts that need no process."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from penstock.config import Settings, StackSettings
from penstock.errors import ConfigError, PortTakenError, ServiceError, ServiceExitedError, ServiceNotReadyError
from penstock.launcher import ports
from penstock.launcher.home import Home, check_paths
from penstock.launcher.logs import follow, rotate, tail
from penstock.launcher.process import MARKER, Process, is_of, owner
from penstock.launcher.process_tree import Seen, belonging
from penstock.launcher.selection import choose, load
from penstock.launcher.service import Service
from penstock.launcher.state import Failure, StackState, changed_settings, fingerprint, read_recorded
from penstock.servers.data_format import claim
from penstock.servers.java import properties
from penstock.servers.nodes import brokers, cassandras, names, workers
from penstock.servers.stack import stack as declared
from penstock.waiting import BackOff

ROOT = Process(100, 5.0)


def service(name: str, *needs: str, port: int = 0) -> Service:
    nowhere = Path("nowhere")
    numbers = {"main": port} if port else {}
    return Service(name, ("true",), nowhere, probe=lambda: None, folder=nowhere, ports=numbers, needs=needs)


def seen(pid: int, parent: int = 1, group: int = 0, session: int = 0, marker: str = "") -> Seen:
    return Seen(Process(pid, 5.0), parent, group or pid, session or pid, marker)


# Paths of folders


@pytest.mark.parametrize("sign", list("$,:%*?#;!&|<>[]{}'\"`\\\t\n"))
@pytest.mark.parametrize("setting", ["home", "cache"])
def test_folder_whose_path_means_something_else_to_a_server_is_refused(setting: str, sign: str, tmp_path: Path) -> None:
    settings = Settings().model_copy(update={setting: tmp_path / f"a{sign}b"})
    with pytest.raises(ConfigError, match=re.escape(f"has the character {sign!r}")) as caught:
        declared(settings)
    assert f"PENSTOCK_{setting.upper()}" in str(caught.value)
    assert not (tmp_path / f"a{sign}b").exists()


def test_folder_of_words_and_letters_of_any_script_is_taken(tmp_path: Path) -> None:
    check_paths(Settings(home=tmp_path / "Library" / "Application Support" / "höme_(1)+علی", cache=tmp_path / "a b"))


def test_properties_for_java_are_of_latin_letters_only() -> None:
    assert properties({"log.dirs": "/a b/höme😀", "n": 1}) == "log.dirs=/a b/h\\u00f6me\\ud83d\\ude00\nn=1\n"


def test_shell_with_a_marker_is_not_taken_for_a_server(tmp_path: Path) -> None:
    """Nor is the process that looks; a sibling is."""
    marker = owner("kafka", tmp_path)
    look = f'from penstock.launcher.process_tree import *; print([p.pid for p in belonging(look(), None, "{marker}")])'
    script = f"{sys.executable} -c '{look}'; sleep 60 & {sys.executable} -c '{look}'; echo $!; kill $!"
    given = {**os.environ, MARKER: marker}
    done = subprocess.run(["sh", "-c", script], env=given, capture_output=True, text=True, check=True)
    alone, beside, sibling = done.stdout.splitlines()
    assert (alone, beside) == ("[]", f"[{sibling}]")


# Choosing services


def test_chooses_what_is_named_and_all_it_needs_in_order() -> None:
    services = (service("top", "middle"), service("middle", "bottom"), service("bottom"), service("other"))
    assert [one.name for one in choose(services, ["top"])] == ["bottom", "middle", "top"]


def test_what_is_only_to_start_later_is_not_needed() -> None:
    services = (replace(service("late"), after=("early", "absent")), service("early"))
    assert [one.name for one in choose(services)] == ["early", "late"]
    assert [one.name for one in choose(services, ["late"])] == ["late"]
    with pytest.raises(ServiceError, match="circle"):
        choose((services[0], service("early", "late")))


def test_chooses_everything_when_nothing_is_named() -> None:
    assert {one.name for one in choose((service("a"), service("b")))} == {"a", "b"}


@pytest.mark.parametrize(
    ("services", "names", "problem"),
    [
        ((service("a"),), ["b"], "asked for 'b', which is no service. The services are a"),
        ((service("a", "b"),), [], "service a needs 'b', which is no service"),
        ((service("a", "b"), service("b", "a")), [], r"circle: \w -> \w -> \w"),
        ((service("a"), service("a")), [], "name a stands at more than one service"),
        ((service("a", port=9042), service("b", port=9042)), [], r"127\.0\.0\.1:9042 is wanted by a \(main\) and b"),
    ],
)
def test_refuses_a_stack_that_cannot_be(services: tuple[Service, ...], names: list[str], problem: str) -> None:
    with pytest.raises(ServiceError, match=problem):
        choose(services, names)


@pytest.mark.parametrize("reference", ["no_such_module:stack", "penstock.servers.stack:nothing", ":", "penstock"])
def test_refuses_a_reference_to_nothing(reference: str) -> None:
    with pytest.raises(ServiceError, match="cannot be imported as module:function"):
        load(reference)


# Restarts


def test_pauses_double_up_to_half_a_minute() -> None:
    back_off = BackOff()
    assert [back_off.next_s(0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_healthy_minute_forgets_earlier_deaths() -> None:
    back_off = BackOff()
    assert [back_off.next_s(lived_s) for lived_s in (0, 59, 60, 0)] == [0.5, 1, 0.5, 1]


# Whose process is it


@pytest.mark.parametrize(
    "other",
    [
        seen(200, parent=100),
        seen(200, group=100),
        seen(200, session=100),
        seen(200, marker="kafka@/home"),
    ],
    ids=["child", "group", "session", "marker"],
)
def test_a_process_belongs_to_a_service(other: Seen) -> None:
    assert other.process in belonging([seen(100), other], ROOT, "kafka@/home")


def test_grandchildren_belong_to_a_service() -> None:
    found = belonging([seen(100), seen(200, parent=100), seen(300, parent=200)], ROOT, "")
    assert {process.pid for process in found} >= {100, 200, 300}


def test_a_dead_leader_leaves_its_group_behind() -> None:
    assert belonging([seen(200, group=100)], ROOT, "kafka@/home") == {Process(200, 5.0)}


def test_a_pid_given_to_another_process_is_not_ours() -> None:
    stranger = Seen(Process(100, 9.0), 1, 100, 100, "")
    assert belonging([stranger, seen(200, parent=100)], ROOT, "kafka@/home") == set()


def test_services_of_another_home_are_not_ours() -> None:
    assert belonging([seen(200, marker="kafka@/home/b")], None, "kafka@/home") == set()


def test_a_process_is_told_from_the_next_one_with_its_pid() -> None:
    me = Process.current()
    assert me.alive()
    assert not Process(me.pid, me.started_s - 1).alive()


# Ports


def test_finds_the_port_that_is_taken_and_by_whom(free_port: int) -> None:
    number = free_port
    with socket.create_server(("127.0.0.1", number)):
        assert [*ports.taken(service("a", port=number))] == [number]
        assert f"pid {Process.current().pid}" in ports.holder("127.0.0.1", number).text
    assert [*ports.taken(service("a", port=number))] == []


def test_a_port_that_a_connection_leaves_from_is_held_by_no_server(free_port: int) -> None:
    number = free_port
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), source_address=("127.0.0.1", number)),
    ):
        assert [*ports.taken(service("a", port=number))] == [number]
        held = ports.holder("127.0.0.1", number).text
        there = f"127.0.0.1:{server.getsockname()[1]}"
    assert f"pid {Process.current().pid}" in held
    assert f"to {there}, of which it is the local end" in held
    assert "outgoing connections" not in held


def test_a_port_of_a_connection_that_has_ended_is_held_by_nobody(free_port: int) -> None:
    number = free_port
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), source_address=("127.0.0.1", number))
        with server.accept()[0]:
            client.close()  # the first of both ends to do so keeps the port for a minute
    assert [*ports.taken(service("a", port=number))] == [number]
    assert "what is left of a connection" in ports.holder("127.0.0.1", number).text


def test_a_port_that_is_bound_and_nothing_more_is_not_said_to_be_somebody_elses(free_port: int) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", free_port))
        assert [*ports.taken(service("a", port=free_port))] == [free_port]
        assert ports.holder("127.0.0.1", free_port).text == "something that the system does not show"


# Home


def test_refuses_a_folder_that_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ServiceError, match=r"not a Penstock home: it holds thesis\.tex"):
        Home(tmp_path).make()


def test_deletes_nothing_in_a_folder_without_our_sign(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(ServiceError, match="nothing was deleted"):
        Home(tmp_path).delete_data()
    assert (tmp_path / "data").exists()


def test_does_not_delete_through_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home = Home(tmp_path / "home")
    home.make()
    (home.path / "data").symlink_to(elsewhere)
    with pytest.raises(ServiceError, match=r"data links to .*elsewhere: nothing was deleted"):
        home.delete_data()
    assert home.run.exists()


# Processes of a home


def test_a_home_whose_name_ends_like_anothers_keeps_its_processes() -> None:
    marker = owner("kafka", Path("/data/me@/home"))
    assert (is_of(marker, Path("/data/me@/home")), is_of(marker, Path("/home"))) == (True, False)


# State


def test_a_fingerprint_names_what_changed_and_tells_no_secret() -> None:
    settings = Settings().resolved()
    other = settings.model_copy(update={"java_home": "/java"})
    now, then = fingerprint(other), fingerprint(settings)
    assert [name for name in now if now[name] != then[name]] == ["PENSTOCK_JAVA_HOME"]
    assert "/java" not in now.values()


def test_another_project_is_a_change_only_where_it_declares_something(tmp_path: Path) -> None:
    of_the_stack = fingerprint(Settings(project=str(tmp_path / "one")))
    assert changed_settings(here := Settings(project=str(tmp_path)), of_the_stack) == []
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "orders.py").touch()
    assert changed_settings(here, of_the_stack) == ["PENSTOCK_PROJECT"]
    elsewhere = Settings(project=str(tmp_path / "two"), port_offset=1)
    assert changed_settings(elsewhere, of_the_stack) == ["PENSTOCK_PORT_OFFSET", "PENSTOCK_PROJECT"]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(service="a", kind="port_taken", port=1, text="x"), PortTakenError),
        (Failure(service="a", kind="exited", exit_code=1), ServiceExitedError),
        (Failure(service="a", kind="not_ready", seconds=1), ServiceNotReadyError),
        (Failure(service="a", kind="other", text="x"), ServiceError),
    ],
)
def test_a_failure_crosses_processes_and_becomes_its_error(failure: Failure, error: type[ServiceError]) -> None:
    assert type(Failure.model_validate_json(failure.model_dump_json()).error()) is error


def test_a_state_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    home.state.write_text("{")
    assert read_recorded(home) is None


# Logs


def test_tail_gives_the_last_lines_of_a_long_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert tail(log, 3) == ["line 49997", "line 49998", "line 49999"]
    assert len(tail(log, 20_000)) == 20_000


def test_tail_since_a_byte_leaves_out_what_stood_before(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("before\nafter\n")
    assert tail(log, 9, since_byte=7) == ["after"]
    assert tail(log, 9, since_byte=99) == ["before", "after"]


def test_rotation_keeps_three_and_the_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("a") as writer:
        for number in range(5):
            writer.write(f"text {number}\n")
            writer.flush()
            assert rotate(log, above_bytes=1)
        writer.write("end\n")
    assert log.read_text() == "end\n"
    assert [log.with_name(f"a.log.{n}").read_text() for n in (1, 2, 3)] == ["text 4\n", "text 3\n", "text 2\n"]
    assert not log.with_name("a.log.4").exists()


def test_small_logs_are_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("x")
    assert not rotate(log)
    assert not rotate(tmp_path / "absent.log")


def test_follow_goes_on_across_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("1\n2\n")
    lines = follow(log, 1)
    assert next(lines) == "2"
    with log.open("a") as writer:
        writer.write("3\n")
        writer.flush()
        rotate(log, above_bytes=1)
        writer.write("4\n")
    assert list(islice(lines, 2)) == ["3", "4"]


def test_follow_ends_when_told(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    log = tmp_path / "a.log"
    log.write_text("1\n")
    assert list(follow(log, 5, stop)) == ["1"]


def test_a_home_keeps_the_kind_of_its_data(tmp_path: Path) -> None:
    kraft, zookeeper = (Settings(home=tmp_path, stack=StackSettings(kafka=mode)) for mode in ("kraft", "zookeeper"))
    claim(zookeeper)
    claim(zookeeper)
    with pytest.raises(ServiceError, match=r"of a stack with stack\.kafka = zookeeper.*one with stack\.kafka = kraft"):
        claim(kraft)


def test_a_home_from_before_there_were_kinds_is_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "data" / "kafka" / "users_created-0").mkdir(parents=True)
    claim(Settings(home=tmp_path))
    with pytest.raises(ServiceError, match=r"stack\.kafka = kraft"):
        claim(Settings(home=tmp_path, stack=StackSettings(kafka="zookeeper")))


def test_an_empty_folder_in_which_a_disk_is_mounted_is_of_no_kind(tmp_path: Path) -> None:
    (tmp_path / "data" / "cassandra").mkdir(parents=True)
    claim(Settings(home=tmp_path, stack=StackSettings(secure=True)))


def test_a_home_keeps_its_profile(tmp_path: Path) -> None:
    claim(Settings(home=tmp_path))
    with pytest.raises(ServiceError, match=r"profile = single; one with .* stack\.profile = cluster cannot"):
        claim(Settings(home=tmp_path, stack=StackSettings(profile="cluster")))


def test_a_cluster_has_three_brokers_three_nodes_and_two_workers() -> None:
    settings = Settings(stack=StackSettings(profile="cluster"))
    assert names(brokers(settings)) == ("kafka", "kafka-2", "kafka-3")
    assert names(cassandras(settings)) == ("cassandra", "cassandra-2", "cassandra-3")
    assert [(one.name, one.host) for one in workers(settings)] == [
        ("spark-worker", "127.0.0.1"),
        ("spark-worker-2", "127.0.0.2"),
    ]


def test_a_port_on_another_address_is_another_port() -> None:
    services = [replace(service("a", port=9042), host=host, name=host) for host in ("127.0.0.1", "127.0.0.2")]
    assert len(choose(services)) == 2


def test_an_address_that_this_machine_lacks_is_told_with_the_remedy() -> None:
    elsewhere = replace(service("a", port=9042), host="192.0.2.1")  # RFC 5737: nobody's
    with pytest.raises(ServiceError, match=r"no address 192\.0\.2\.1.*ifconfig lo0 alias 192\.0\.2\.1"):
        [*ports.taken(elsewhere)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 must be made first")
def test_finds_the_port_that_is_taken_on_its_own_address_only() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.2", 0))
        listener.listen()
        taken_there = service("a", port=listener.getsockname()[1])
        assert [*ports.taken(taken_there)] == []
        assert [*ports.taken(replace(taken_there, host="127.0.0.2"))] == [listener.getsockname()[1]]


def test_state_of_an_earlier_version_can_be_read_and_is_written_alike(tmp_path: Path) -> None:
    service = {"name": "one", "phase": "ready", "ports": {}, "page": "", "log": "/l", "needs": [], "stop_signal": 15}
    recorded = {"boot": "b", "settings": {}, "request": 1, "services": [{**service, "stop_limit_s": 30}]}
    (tmp_path / "run").mkdir()
    Home(tmp_path).state.write_text(json.dumps(recorded))
    found = read_recorded(Home(tmp_path))
    assert found
    assert found.services[0].stop_timeout_s == 30
    assert '"stop_limit_s":30' in found.model_dump_json()


def test_status_in_json_keeps_its_names() -> None:
    state = StackState(home=Path("/home"), supervisor_pid=1, watchdog_pid=2, services=())
    assert set(json.loads(state.to_json())) == {
        "home",
        "supervisor_pid",
        "guardian_pid",
        "supervisor_memory_pss_bytes",
        "services",
    }
