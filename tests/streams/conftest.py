"""The servers that a stream of a test's own needs, and no more: what else runs takes the processor from it."""

from collections.abc import Iterator

import pytest

from penstock.config import Settings
from penstock.launcher import control
from rig.stacks import processes_of, settings_in, start


@pytest.fixture(scope="session")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack with Kafka, Cassandra and the simulator running."""
    settings = settings_in(tmp_path_factory.mktemp("servers") / "home")
    try:
        start(settings, "kafka", "cassandra", "simulator")
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []
