"""The real master and worker, with a streaming app on them, as the supervisor runs them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from penstock.config import Settings, child_environment
from penstock.services import control
from penstock.services.java import find_java
from penstock.services.own import stream
from penstock.services.spec import NotReady
from tests.stacks import processes_of, settings_in, start
from tests.waiting import TIMEOUT_S, until

APP = Path(__file__).with_name("endless_app.py")


@dataclass(frozen=True)
class Cluster:
    settings: Settings
    said: Path
    """What the app wrote."""

    def batches(self) -> int:
        return self.said.read_text("utf-8").count("batch")

    def kill(self, name: str) -> None:
        pid = self._state(name)[1]
        os.kill(pid or 0, signal.SIGKILL)
        until(lambda: self._state(name)[0] == "ready" and self._state(name)[1] != pid)

    def _state(self, name: str) -> tuple[str, int | None]:
        found = next(one for one in control.status(self.settings).services if one.name == name)
        return found.state, found.pid


def eventually(check: Callable[[], None]) -> None:
    Retrying(
        stop=stop_after_delay(TIMEOUT_S), wait=wait_fixed(0.1), retry=retry_if_exception_type(NotReady), reraise=True
    )(check)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("spark")
    settings = settings_in(folder / "home")
    said, errors = folder / "said", folder / "errors"
    service = stream(settings, find_java(settings))
    command = [sys.executable, str(APP), settings.spark.master, str(settings.ports.spark_driver_ui)]
    try:
        start(settings, "spark-worker")
        with said.open("w") as output, errors.open("w") as log:
            environment = child_environment(service.environment)
            app = subprocess.Popen(command, stdout=output, stderr=log, env=environment, start_new_session=True)
        try:
            eventually(service.probe)
            yield Cluster(settings, said)
        finally:
            os.killpg(app.pid, signal.SIGKILL)
            app.wait()
    finally:
        control.down(settings)
    assert processes_of(folder) == []


def test_app_runs(cluster: Cluster) -> None:
    until(lambda: cluster.batches() > 2)


def test_app_goes_on_after_kill_of_the_master(cluster: Cluster) -> None:
    cluster.kill("spark-master")
    before = cluster.batches()
    until(lambda: cluster.batches() > before + 2)


@pytest.mark.thorough  # a round of faults kills worker and executor under load
def test_app_goes_on_on_a_new_worker_of_a_new_master(cluster: Cluster) -> None:
    cluster.kill("spark-master")
    cluster.kill("spark-worker")
    before = cluster.batches()
    until(lambda: cluster.batches() > before + 2)


def test_worker_cleans_up_after_apps(cluster: Cluster) -> None:
    log = (cluster.settings.home / "logs" / "spark-worker.log").read_text("utf-8")
    assert "Worker cleanup enabled" in log


def test_stream_is_not_ready_before_it_runs(settings: Settings) -> None:
    with pytest.raises(NotReady, match="refused"):
        stream(settings, find_java(settings)).probe()
