"""Three brokers, three Cassandra nodes and two workers: the pipeline goes on while one of each is lost."""

from collections.abc import Iterator

import pytest

from penstock.config import Settings, StackSettings
from penstock.ingest import Run
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from rig.stacks import processes_of, settings_in, start
from tests.clusters import LAST, unaccounted, until_stored
from tests.faults.load import Load
from tests.faults.stage import kill
from tests.waiting import until

pytestmark = pytest.mark.thorough
FIRST = ("kafka", "cassandra", "spark-worker")
"""The ones that every client asks first."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a running cluster, without Airflow."""
    settings = settings_in(tmp_path_factory.mktemp("cluster") / "home", StackSettings(profile="cluster"))
    try:
        start(settings, "stream")
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("victims", [FIRST, LAST], ids=["the first ones", "the last ones"])
def test_one_of_each_killed_under_load_loses_nothing(
    cluster: Settings, pipeline: Pipeline, victims: tuple[str, ...]
) -> None:
    run = Run(pipeline, f"killed {victims[0]}")
    with Load(cluster, run, run.id) as load:
        until_stored(cluster, pipeline, load, 0)
        before = control.status(cluster, memory=False)
        kill(before.service(name).pid for name in victims)
        until(lambda: came_back(cluster, before, victims), f"{victims} did not come back")
        mark = load.expected.messages
        until_stored(cluster, pipeline, load, mark)
    assert unaccounted(cluster, run, load) == {}


@pytest.mark.timeout(1_800)
def test_goes_on_while_one_of_each_stays_away(cluster: Settings, pipeline: Pipeline) -> None:
    """Nobody brings them back: supervisor and watchdog are killed first. The driver must not end either."""
    run = Run(pipeline, "without one of each")
    before = control.status(cluster, memory=False)
    kill([before.watchdog_pid, before.supervisor_pid, *(before.service(name).pid for name in LAST)])
    with Load(cluster, run, run.id) as load:
        until(lambda: load.expected.messages > 3_000, "the load is not acknowledged")
        until_stored(cluster, pipeline, load, 2_000)
    assert unaccounted(cluster, run, load) == {}
    now = control.status(cluster, memory=False)
    assert {one.name for one in now.services if one.state is control.Phase.LOST} == set(LAST)
    assert now.service("stream").pid == before.service("stream").pid
    start(cluster, "stream")


def came_back(settings: Settings, before: control.StackState, names: tuple[str, ...]) -> bool:
    """Whether these services run anew, and all are ready."""
    now = control.status(settings, memory=False)
    return now.ready and all(now.service(name).pid != before.service(name).pid for name in names)
