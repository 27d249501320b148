"""The streaming application without its servers: what it does with queries that cannot start, and what it reports."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event

import pytest

from penstock.config import CassandraSettings, Settings
from penstock.errors import ContractError, StoreError, StreamError
from penstock.launcher.service import NotReady
from penstock.servers import apps
from penstock.servers.java import Java
from penstock.stream.app import Application, Options
from penstock.stream.epochs import Seams
from penstock.stream.report import Standing, State, report
from tests import servers
from tests.declared import declare


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty project, and a Cassandra that does not run."""
    cassandra = CassandraSettings(contact_points="127.0.0.1", port=1)
    return Settings(home=tmp_path / "home", project=str(tmp_path), cassandra=cassandra).resolved()


def run(settings: Settings, **options: object) -> dict[str, str]:
    """Pipeline -> the state that was reported last."""
    file = settings.home / "run" / "stream" / "pipelines.json"
    application = Application(settings, [], Seams(), Options(report=file, **options))  # type: ignore[arg-type]
    try:
        application.run(Event())
    finally:
        states = {name: one["state"] for name, one in json.loads(file.read_text())["pipelines"].items()}
        settings.home.joinpath("states").write_text(json.dumps(states))
    return states


def states(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = json.loads(settings.home.joinpath("states").read_text())
    return found


def test_single_query_that_cannot_start_ends_the_application_with_its_own_error(settings: Settings) -> None:
    declare(settings.project, "orders")
    with pytest.raises(StoreError):
        run(settings)
    assert states(settings) == {"orders": "failing"}


def test_application_in_which_no_query_runs_any_more_ends_and_names_each(settings: Settings) -> None:
    declare(settings.project, "orders")
    declare(settings.project, "returns")
    with pytest.raises(StreamError, match=r"no query runs any more\. orders: cassandra at .* returns: cassandra at "):
        run(settings)
    assert states(settings) == {"orders": "failing", "returns": "failing"}


def test_only_the_named_pipeline_is_carried(settings: Settings) -> None:
    declare(settings.project, "orders")
    declare(settings.project, "returns")
    with pytest.raises(StoreError):
        run(settings, only="returns")
    assert states(settings) == {"returns": "failing"}


def test_broken_declaration_is_reported_beside_the_sound_ones(settings: Settings) -> None:
    declare(settings.project, "orders")
    declare(settings.project, "broken", "1 / 0")
    with pytest.raises(StoreError):
        run(settings)
    assert states(settings) == {"orders": "failing", f"{settings.project}/pipelines/broken.py": "refused"}


def test_project_without_a_sound_declaration_carries_nothing(settings: Settings) -> None:
    declare(settings.project, "broken", "1 / 0")
    with pytest.raises(ContractError, match=r"broken\.py:1: ZeroDivisionError"):
        Application(settings, [], Seams(), Options()).run(Event())


def test_what_the_stream_reports_is_what_status_reads(settings: Settings) -> None:
    file = settings.home / "run" / "stream" / "pipelines.json"
    assert apps.pipelines(settings) == []
    standings = {"orders": Standing(State.RUNNING), "returns": Standing(State.FAILED, "the table is another")}
    said = report(file, standings, ready=True, last="")
    orders, returns = apps.pipelines(settings)
    assert (orders.is_well, returns.is_well, returns.error) == (True, False, "the table is another")
    assert orders.since == standings["orders"].since
    file.unlink()
    report(file, standings, ready=True, last=said)
    assert not file.exists()


@contextmanager
def driver(*queries: str) -> Iterator[int]:
    """The port of a page with the gauges of these queries."""
    gauges = {f"app-1.driver.spark.streaming.{name}.latency": {"value": 0} for name in queries}

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"gauges": {**gauges, "app-1.driver.jvm.heap": {"value": 1}}}).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    with servers.answering(server):
        yield server.server_port


def ready(settings: Settings, port: int, standings: dict[str, Standing] | None, *, once: bool) -> str:
    """Why the stream is not ready; empty if it is."""
    ports = settings.ports.model_copy(update={"spark_driver_ui": port})
    service = apps.stream(settings.model_copy(update={"ports": ports}), Java(Path("/java"), Path("/runtime")))
    service.prepare()
    if standings is not None:
        report(settings.home / "run" / "stream" / "pipelines.json", standings, ready=once, last="")
    try:
        service.probe()
    except NotReady as state:
        return str(state)
    return ""


def test_stream_is_ready_once_each_query_has_run_or_failed_and_while_one_runs(settings: Settings) -> None:
    starting = {"orders": Standing(State.RUNNING), "returns": Standing(State.STARTING)}
    failing = {"orders": Standing(State.RUNNING), "returns": Standing(State.FAILING, "why")}
    with driver("orders") as port:
        assert ready(settings, port, starting, once=False) == "these pipelines are still starting: returns"
        assert ready(settings, port, starting, once=True) == ""
        assert ready(settings, port, failing, once=True) == ""
        assert ready(settings, port, None, once=True) == ""
    with driver() as port:
        assert "no streaming query runs yet" in ready(settings, port, failing, once=True)
