"""Three brokers and three nodes that ask who calls: every client is let in while one of each is away."""

from collections.abc import Iterator

import pytest

from penstock.cassandra import Store
from penstock.cli.support.start import start
from penstock.config import Settings, StackSettings
from penstock.ingest import Run
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.servers.access import as_principal, cassandra_settings, secrets_of
from penstock.servers.principals import WITH_PASSWORD, Principal
from rig.stacks import processes_of, settings_in
from tests.clusters import LAST, unaccounted, until_stored
from tests.faults.load import Load
from tests.faults.stage import kill
from tests.waiting import until

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1_800)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a secure cluster, without Airflow."""
    stack = StackSettings(profile="cluster", secure=True)
    settings = settings_in(tmp_path_factory.mktemp("cluster") / "home", stack)
    try:
        start(settings, ["stream"])
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


def test_goes_on_while_one_of_each_stays_away(cluster: Settings, pipeline: Pipeline) -> None:
    """Nobody brings them back: supervisor and watchdog are killed first. New clients are let in all the same."""
    operator = as_principal(cluster, Principal.OPERATOR)
    run = Run(pipeline, "without one of each")
    before = control.status(cluster, memory=False)
    kill([before.watchdog_pid, before.supervisor_pid, *(before.service(name).pid for name in LAST)])
    with Load(operator, run, run.id) as load:
        until(lambda: load.expected.messages > 3_000, "the load is not acknowledged")
        until_stored(operator, pipeline, load, 2_000)
    for name in WITH_PASSWORD:
        with Store(cassandra_settings(cluster, name, secrets_of(cluster).now[name])):
            pass
    assert unaccounted(operator, run, load) == {}
    start(cluster, ["stream"])
