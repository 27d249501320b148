"""The whole secure stack: Airflow's task, the stream and a person's commands, each with credentials of its own."""

import json
from collections.abc import Iterator

import httpx
import pytest

from penstock.airflow import Airflow
from penstock.cli.support.rotation import rotate
from penstock.cli.support.start import start
from penstock.cli.support.tour import run
from penstock.config import Settings, StackSettings
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.servers.access import as_principal, secrets_of
from penstock.servers.principals import Principal
from penstock.servers.secrets import with_credentials
from rig.stacks import penstock, processes_of, settings_in
from tests.secured import listening_elsewhere

pytestmark = pytest.mark.thorough
RECORDS = 500


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = settings_in(tmp_path_factory.mktemp("secure") / "home", StackSettings(secure=True))
    try:
        start(settings)
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


@pytest.mark.timeout(1_800)
def test_runs_balance_before_and_after_a_rotation(secure: Settings, pipeline: Pipeline) -> None:
    for _ in range(2):
        run(as_principal(secure, Principal.OPERATOR), pipeline, RECORDS)  # raises unless every record is accounted for
        rotate(secure)
    deep = penstock(secure, "reconcile", "--deep", "--json")
    assert deep.returncode == 0, deep.stderr
    assert {json.loads(line)["balances"] for line in deep.stdout.splitlines()} == {True}


def test_only_loopback_is_listened_on(secure: Settings) -> None:
    assert listening_elsewhere(secure.home, least=15) == []


def test_no_password_stands_on_a_command_line_or_in_a_log(secure: Settings) -> None:
    words = [word.get_secret_value() for word in secrets_of(secure).now.values()]
    commands = [" ".join(process.cmdline()) for process in processes_of(secure.home)]
    logs = [file.read_text("utf-8", "replace") for file in (secure.home / "logs").rglob("*") if file.is_file()]
    assert [text for text in (*commands, *logs) if any(word in text for word in words)] == []


def test_pages_ask_for_credentials(secure: Settings) -> None:
    for port, path in ((secure.ports.console, "/"), (secure.ports.airflow, "/api/v2/dags")):
        assert httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60).status_code == 401


def test_airflow_lets_in_who_has_them(secure: Settings) -> None:
    with Airflow(with_credentials(secure)) as airflow:
        airflow.wait_until_parsed("user_info", 120)
