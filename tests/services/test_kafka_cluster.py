"""Three real brokers, of which one goes and does not come back."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from penstock.config import Settings, StackSettings
from penstock.kafka import Broker
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from rig.stacks import processes_of, settings_in, start
from tests.faults.stage import kill
from tests.waiting import until

ALL = ("kafka", "kafka-2", "kafka-3")
LOST = ALL[-1]
CLIENTS = 8
"""Each is told one of the three brokers as the controller, by chance: that none of eight is told the one that goes
happens once in 26 times.
"""


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Settings]:
    settings = settings_in(tmp_path / "home", StackSettings(profile="cluster"))
    try:
        start(settings, *ALL)
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


@pytest.mark.timeout(600)
def test_a_client_that_lives_long_does_not_wait_for_a_controller_that_is_gone(
    brokers: Settings, pipeline: Pipeline
) -> None:
    with ExitStack() as living:
        clients = [living.enter_context(Broker(brokers.kafka)) for _ in range(CLIENTS)]
        clients[0].ensure_topics(pipeline)
        identity = {client.identity(pipeline.topic) for client in clients}
        now = control.status(brokers, memory=False)
        kill([now.watchdog_pid, now.supervisor_pid, now.service(LOST).pid])
        with Broker(brokers.kafka) as another:
            until(lambda: len(another.cluster([pipeline.topic]).brokers) == len(ALL) - 1, "it is not missed")
        assert {client.identity(pipeline.topic) for client in clients} == identity
