"""What a container runs: one real server as the process that `penstock serve` was, and its health."""

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from penstock.config import Settings, child_environment
from penstock.launcher import foreground
from penstock.launcher.service import NotReady, Service
from rig.stacks import penstock
from tests.hostile_environment import HOSTILE


@pytest.fixture
def served(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    secret = {"PENSTOCK_SECRETS_POSTGRES_PASSWORD": "hidden", "PENSTOCK_KAFKA_SASL_PASSWORD": "hidden"}
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "serve", "simulator"],
        env={**child_environment(settings.environment()), **HOSTILE, **secret},
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.terminate()
    process.communicate(timeout=30)


def test_serving_becomes_the_server(settings: Settings, served: subprocess.Popen[str]) -> None:
    until_ready = Retrying(retry=retry_if_result(bool), stop=stop_after_delay(60), wait=wait_fixed(0.1))
    assert until_ready(lambda: penstock(settings, "ready", "simulator").returncode) == 0
    server = psutil.Process(served.pid)
    assert server.cmdline()[-1] == "simulate"
    assert server.environ().keys().isdisjoint(HOSTILE)
    assert "hidden" not in server.environ().values()


def test_asking_what_does_not_run_says_so(settings: Settings) -> None:
    asked = penstock(settings, "ready", "simulator")
    assert asked.returncode == 1
    assert "penstock: simulator is not ready: GET" in asked.stderr


def test_a_server_whose_database_is_absent_ends_and_says_what_it_needs(settings: Settings) -> None:
    ended = penstock(settings, "serve", "airflow-scheduler")
    assert ended.returncode == 9
    assert "airflow-scheduler could not be prepared (it needs postgres): Postgres on 127.0.0.1:" in ended.stderr


def test_a_name_that_is_no_server_is_met_with_those_that_are(settings: Settings) -> None:
    ended = penstock(settings, "serve", "broker")
    assert ended.returncode == 9
    assert "'broker', which is no service. The services are postgres, kafka" in ended.stderr


def test_health_is_the_probe_of_the_service_itself(settings: Settings) -> None:
    def refuse() -> None:
        raise NotReady("it sleeps")

    folder = settings.home
    with pytest.raises(NotReady, match="it sleeps"):
        foreground.check((Service("a", ("true",), folder, probe=refuse, folder=folder),), "a")
