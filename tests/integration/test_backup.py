"""A backup of the running stack, in the midst of a run, restored into an empty home beside it."""

from datetime import UTC, datetime

import pytest

from penstock.airflow import Airflow
from penstock.audit import ledger
from penstock.config import Settings
from penstock.kafka import Broker
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.servers.secrets import with_credentials
from rig.stacks import penstock, processes_of, settings_in, start
from tests.waiting import TIMEOUT_S, until

RECORDS = 8_000


@pytest.mark.thorough
@pytest.mark.timeout(3_600)
def test_what_is_restored_goes_on_and_accounts_for_every_record(
    stack_settings: Settings,
    airflow: Airflow,
    broker: Broker,
    pipeline: Pipeline,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The stack that was backed up too: it stood still for a moment, and nobody noticed."""
    folder = tmp_path_factory.mktemp("restored")
    file, dag = folder / "stack.tar.gz", pipeline.schedule.dag_id
    before = written(broker, pipeline)
    run = airflow.trigger(dag, datetime.now(UTC), {"records": RECORDS})
    until(lambda: written(broker, pipeline) > before, "the run's first messages")
    done(stack_settings, "backup", str(file))
    airflow.wait(dag, run, lambda _: None, TIMEOUT_S)
    accounted(stack_settings, pipeline, run)

    restored = settings_in(folder / "home")
    done(restored, "restore", str(file))
    try:
        start(restored)
        # Its task was killed by the backup, as it were, and is attempted again.
        with Airflow(with_credentials(restored)) as other:
            other.wait(dag, run, lambda _: None, TIMEOUT_S)
        accounted(restored, pipeline, run)
    finally:
        control.down(restored)
    assert processes_of(restored.home) == []


def written(broker: Broker, pipeline: Pipeline) -> int:
    return sum(broker.written(pipeline.topic).values())


def accounted(settings: Settings, pipeline: Pipeline, run: str) -> None:
    """All of the run arrived, and no run of the home lost anything: from the data, and by the counts."""
    assert ledger.wait_until_settled(settings, pipeline, run, TIMEOUT_S).balances(RECORDS)
    done(settings, "reconcile", "--deep")
    done(settings, "reconcile")


def done(settings: Settings, *arguments: str) -> str:
    ended = penstock(settings, *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
