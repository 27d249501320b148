"""Three real brokers, of which one goes and does not come back, or each one in turn."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest

from penstock.config import Settings, StackSettings
from penstock.kafka import Broker, Message
from penstock.launcher import control
from penstock.launcher.restart import restart
from penstock.pipelines.contract import Pipeline
from rig.stacks import processes_of, settings_in, start
from tests.faults.stage import kill
from tests.waiting import until

ALL = ("kafka", "kafka-2", "kafka-3")
LOST = ALL[-1]
ROUNDS = 3
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


@pytest.mark.timeout(600)
def test_brokers_that_are_restarted_in_turn_keep_each_message_once(brokers: Settings, pipeline: Pipeline) -> None:
    over = Event()
    with Broker(brokers.kafka) as broker, ThreadPoolExecutor(1) as publishing:
        broker.ensure_topics(pipeline)
        receipts = publishing.submit(broker.publish, flood(pipeline.topic, over))
        try:
            for _ in range(ROUNDS):
                for name in ALL:
                    restart(brokers, [name])
        finally:
            over.set()
        acknowledged = receipts.result().acknowledged
        assert sum(1 for _ in broker.read(pipeline.topic)) == acknowledged


def flood(topic: str, over: Event) -> Iterator[Message]:
    """So many messages that there is always more than one request under way."""
    while not over.wait(0.001):
        for _ in range(5):
            yield Message(topic, None, b"{}", {}, datetime.now(UTC))
