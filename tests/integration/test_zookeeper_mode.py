"""The pipeline on Kafka with ZooKeeper, in a stack of its own without Airflow."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock.audit import ledger
from penstock.config import Settings, StackSettings
from penstock.ingest import run_ingest
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.source import Interval
from rig.stacks import processes_of, settings_in, start
from tests.faults.stage import kill
from tests.waiting import TIMEOUT_S, until

pytestmark = pytest.mark.thorough
MOMENT = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)


@pytest.fixture
def zookeeping(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a stack with ZooKeeper that runs."""
    settings = settings_in(tmp_path / "home", StackSettings(kafka="zookeeper"))
    try:
        start(settings, "stream", "simulator")
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


def test_every_record_arrives_and_again_after_both_were_killed(zookeeping: Settings, pipeline: Pipeline) -> None:
    assert _carried(zookeeping, pipeline, "before") == "fetched 500 = stored 500 + dead-lettered 0"
    before = control.status(zookeeping)
    kill(before.service(name).pid for name in ("zookeeper", "kafka"))
    until(lambda: _came_back(zookeeping, before), "zookeeper and kafka did not come back")
    assert _carried(zookeeping, pipeline, "after") == "fetched 500 = stored 500 + dead-lettered 0"


def _carried(settings: Settings, pipeline: Pipeline, run_id: str) -> str:
    report = run_ingest(settings, pipeline, run_id, Interval(MOMENT), 500)
    return ledger.wait_until_settled(settings, pipeline, run_id, TIMEOUT_S).equation(report.fetched)


def _came_back(settings: Settings, before: control.StackState) -> bool:
    now = control.status(settings, memory=False)
    return now.ready and all(now.service(name).pid != before.service(name).pid for name in ("zookeeper", "kafka"))
