"""The doctor before anything runs: each kind of broken setup is found, and a good one is not called broken."""

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.cli import cli
from penstock.config import Settings
from penstock.doctor import Grade, downloads, examine, java, machine, ports, stream, web
from penstock.doctor.clock import clock
from penstock.errors import SourceError
from penstock.pipelines.project import load_pipeline
from penstock.servers import jars
from penstock.servers.jars.locked import jars_of, locked
from penstock.servers.stack import stack
from penstock.source import Bearer, Interval, Source
from penstock.source.api import Api
from penstock.source.pace import Clock
from tests import servers
from tests.mirrors import Mirrors, mirrors
from tests.secured import changed

USERS = load_pipeline("penstock.users:USERS")


@contextmanager
def answering(status: int, date: datetime, asked: list[str] | None = None) -> Iterator[str]:
    """A server that answers everything so, and notes what it was asked; yields its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            self.send_response_only(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Date", f"{date:%a, %d %b %Y %H:%M:%S} GMT")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    with servers.answering(server):
        yield f"http://127.0.0.1:{server.server_port}/api/"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirrors]:
    """A package index and a Maven repository with what the doctor asks for."""
    with mirrors(tmp_path_factory.mktemp("mirrors")) as running:
        running.holds_wheel("truststore", "0.10.5", {})
        running.put_jar(min(jars_of(jars.needed(Settings())), key=lambda jar: jar.size_bytes), b"a jar")
        yield running


@pytest.fixture
def settings(settings: Settings, mirror: Mirrors, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that name the mirrors, which are trusted: no test here asks another machine."""
    monkeypatch.setenv("SSL_CERT_FILE", str(mirror.authority))
    return changed(settings, downloads={"python_index": mirror.index, "maven_repository": mirror.repository})


def test_index_and_repository_that_work(settings: Settings) -> None:
    found = [downloads.index(settings), downloads.maven(settings)]
    assert [one.grade for one in found] == [Grade.OK, Grade.OK], found


def test_index_and_repository_that_are_not_trusted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    found = [downloads.index(settings), downloads.maven(settings)]
    assert [one.grade for one in found] == [Grade.FAILED, Grade.FAILED]
    assert "UnknownIssuer" in found[0].what
    assert "CERTIFICATE_VERIFY_FAILED" in found[1].what
    assert all("SSL_CERT_FILE" in one.fix for one in found)


def test_index_and_repository_that_lack_something(settings: Settings) -> None:
    address = settings.downloads.maven_repository.get_secret_value().replace("://", "://me:secret@")
    other = {"python_index": f"{address}/none", "maven_repository": f"{address}/none"}
    found = [downloads.index(changed(settings, downloads=other)), downloads.maven(changed(settings, downloads=other))]
    assert [one.grade for one in found] == [Grade.FAILED, Grade.FAILED]
    assert "secret" not in str(found)


def test_nothing_is_wrong_before_the_first_start(settings: Settings) -> None:
    found = [*examine(settings)]
    assert [one for one in found if one.grade is Grade.FAILED] == []
    assert {"kafka", "cassandra", "spark", "postgres", "airflow", "api"} <= {
        one.subject for one in found if "not running" in one.what
    }


def test_configured_server_that_is_not_there_is_a_failure(settings: Settings) -> None:
    [port] = [settings.ports.zookeeper]
    found = {one.subject: one for one in examine(changed(settings, kafka={"bootstrap_servers": f"127.0.0.1:{port}"}))}
    assert (found["kafka"].grade, found["cassandra"].grade) == (Grade.FAILED, Grade.NOTE)
    assert "kafka.bootstrap_servers" in found["kafka"].fix


def test_command_ends_with_1_and_says_what_to_do(settings: Settings) -> None:
    environment = {**settings.environment(), "PENSTOCK_JAVA_HOME": str(settings.home)}
    done = CliRunner().invoke(cli, ["doctor", "--json"], env=environment)
    found = {one["subject"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert done.exit_code == 1
    assert (found["java"]["grade"], found["python"]["grade"]) == ("failed", "ok")
    assert "unset PENSTOCK_JAVA_HOME" in found["java"]["fix"]


def test_lines_for_people_have_a_sign(settings: Settings) -> None:
    done = CliRunner().invoke(cli, ["doctor"], env=settings.environment())
    assert "✓ python: " in done.stdout
    assert "– kafka: not running" in done.stdout


def test_parts_that_are_all_installed_are_not_called_absent() -> None:
    assert machine.parts().grade == Grade.OK


def test_too_little_memory_and_disk(settings: Settings) -> None:
    assert machine.memory(available_bytes=2**30).grade is Grade.FAILED
    assert {one.grade for one in machine.folders(settings, needed_bytes=2**60)} == {Grade.FAILED}


def test_home_that_cannot_be_written(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    broken = settings.model_copy(update={"home": tmp_path / "file" / "home"})
    home, _ = machine.folders(broken)
    assert (home.grade, home.fix) == (Grade.FAILED, "Name another folder: PENSTOCK_HOME")


def test_proxy_never_stands_between_this_machine_and_itself() -> None:
    found = machine.proxies({"https_proxy": "http://proxy:3128"})
    assert (found.grade, "this machine" in found.what) == (Grade.OK, True)


def test_api_behind_a_proxy_is_looked_for_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(200, datetime.now(UTC)) as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        found = {
            one.subject: one for one in examine(changed(settings, source={"urls": {"users": "http://api.invalid/"}}))
        }
    assert (found["api"].grade, found["api"].what) == (Grade.OK, "http://api.invalid/ answers")


def test_jar_that_is_not_the_locked_one(settings: Settings, tmp_path: Path) -> None:
    copy = settings.model_copy(update={"cache": tmp_path / "cache"})
    jar = locked("spark")[0].path(copy.cache / "jars")
    assert java.cache(copy).grade is Grade.NOTE
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"cut")
    assert (java.cache(copy).grade, java.cache(copy).fix) == (Grade.FAILED, f"rm {jar}")


def test_jars_of_two_lines() -> None:
    [source] = [jar for jar in locked("spark") if jar.artifact.startswith("spark-sql-kafka")]
    old = replace(source, version="3.5.1", artifact="spark-sql-kafka-0-10_2.12")
    assert {one.grade for one in java.lines()} == {Grade.OK}
    assert [one.grade for one in java.lines([old])] == [Grade.FAILED, Grade.FAILED]


def test_port_that_another_process_holds(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.ports.kafka)):
        [found] = ports.ports(settings, stack(settings))
    assert found.grade is Grade.FAILED
    assert f"kafka needs port {settings.ports.kafka}, which is held by " in found.what


def test_port_that_a_connection_holds(settings: Settings) -> None:
    there = ("127.0.0.1", settings.ports.kafka)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), source_address=there),
    ):
        [found] = ports.ports(settings, stack(settings))
    assert "a connection of " in found.what
    assert "another user" not in found.what
    assert "wait for that connection to end" in found.fix


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell which ports they give away")
def test_ports_that_the_system_gives_to_outgoing_connections(settings: Settings) -> None:
    with socket.socket() as lent:
        lent.bind(("127.0.0.1", 0))
        number = lent.getsockname()[1]
    [found] = ports.ports(settings, (replace(stack(settings)[0], ports={"x": number}),))
    assert (found.grade, "1 of 1 may be taken at any time" in found.what) == (Grade.NOTE, True)


@pytest.mark.parametrize(("seconds", "grade"), [(2, "ok"), (-2, "ok"), (90, "failed"), (-3_600, "failed")])
def test_clock_that_is_off(seconds: int, grade: str) -> None:
    def now() -> datetime:
        return datetime(2025, 3, 12, 14, 30, tzinfo=UTC) + timedelta(seconds=seconds)

    assert clock("x", "Wed, 12 Mar 2025 14:30:00 GMT", now).grade == grade


def test_server_that_does_not_tell_the_time() -> None:
    assert clock("x", None).grade is Grade.NOTE


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (302, "No redirect is followed"),
        (401, "wants credentials"),
        (403, "refuses this address"),
        (404, "Is it the right address"),
        (429, "Too many requests"),
        (500, "Look at what it says"),
        (520, "Look at what it says"),
    ],
)
def test_api_that_refuses(settings: Settings, status: int, says: str) -> None:
    with answering(status, datetime.now(UTC)) as url:
        time, found = web.api(changed(settings, source={"urls": {"users": url}}), USERS)
    assert (time.grade, found.grade) == (Grade.OK, Grade.FAILED)
    assert says in found.fix


@pytest.mark.parametrize(
    ("status", "attempts"),
    [(204, 3), (302, 3), (400, 3), (401, 3), (403, 3), (408, 3), (429, 3), (501, 3), (503, 3), (503, 1), (520, 3)],
)
def test_what_is_told_of_a_run_is_what_a_run_does(settings: Settings, status: int, attempts: int) -> None:
    asked: list[str] = []
    with answering(status, datetime.now(UTC), asked) as url:
        own = changed(settings, source={"urls": {"users": url}, "attempts": attempts})
        _, found = web.api(own, USERS)
        asked.clear()
        clock = Clock(sleep_s=lambda _: None)
        with Api(USERS.source, own.source, address=url, clock=clock) as api, pytest.raises(SourceError):
            next(api.pages(Interval(datetime(2025, 3, 12, tzinfo=UTC)), 1))
    assert (f"a run asks {len(asked)} times in all" in found.what) is (len(asked) > 1)
    assert ("a run fails at once" in found.what) is (len(asked) == 1)


def test_api_that_has_nothing_is_there(settings: Settings) -> None:
    listed = USERS.model_copy(update={"source": Source(USERS.source.url, "results")})
    with answering(204, datetime.now(UTC)) as url:
        _, found = web.api(changed(settings, source={"urls": {"users": url}}), listed)
    assert (found.grade, found.what) == (Grade.OK, f"{url} answers that it has nothing for yesterday")


@pytest.mark.parametrize(("secret", "grade"), [("airflow:x", Grade.NOTE), ("NOT_THERE", Grade.FAILED)])
def test_api_whose_secret_is_not_here(settings: Settings, secret: str, grade: Grade) -> None:
    source = replace(USERS.source, auth=Bearer(secret=secret))
    [found] = web.api(settings, USERS.model_copy(update={"source": source}))
    assert (found.grade, secret in found.what) == (grade, True)


@pytest.mark.parametrize("status", [403, 500])
def test_no_finding_shows_a_key_that_stands_in_an_address(settings: Settings, status: int) -> None:
    with answering(status, datetime.now(UTC)) as url:
        keyed = url.replace("http://", "http://me:hidden@") + "?key=hidden"
        found = [
            *web.api(changed(settings, source={"urls": {"users": keyed}}), USERS),
            *web.airflow(changed(settings, airflow={"url": keyed})),
            *web.api(changed(settings, source={"urls": {"users": "http://me:hidden/x@host/"}}), USERS),
        ]
    assert "hidden" not in repr(found)


def test_airflow_of_another_line(settings: Settings) -> None:
    with answering(404, datetime.now(UTC)) as url:
        [found] = web.airflow(changed(settings, airflow={"url": url}))
    assert (found.grade, found.fix) == (Grade.FAILED, "Is airflow.url that of an Airflow 3?")


def test_checkpoint_of_another_topic(settings: Settings) -> None:
    place = Path(settings.spark.checkpoint, USERS.name)
    (place / "offsets").mkdir(parents=True)
    (place / "offsets" / "0").write_text('v1\n{}\n{"another":{"0":1}}')
    found = stream.checkpoint_of(settings, USERS)
    assert (found.grade, found.fix) == (Grade.FAILED, f"mv {place} {place}.old")
    shutil.rmtree(place)
    assert stream.checkpoint_of(settings, USERS).grade is Grade.OK
