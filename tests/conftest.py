"""What every suite may use: settings with ports and a folder of their own, and clients of the suite's own stack."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest

from penstock.cassandra import Store
from penstock.config import Settings
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import load_pipeline
from rig.stacks import free_ports, settings_in

# No test is a matter of time: a machine may be busy.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for one test, for the services that it starts itself."""
    return settings_in(tmp_path / "home")


@pytest.fixture
def free_port() -> Iterator[int]:
    """One free port."""
    yield from free_ports(1)


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """The users pipeline."""
    return load_pipeline("penstock.users:USERS")


@pytest.fixture(scope="module")
def own(pipeline: Pipeline) -> Pipeline:
    """The users pipeline with a topic and a table of this module."""
    name = f"users_{uuid4().hex[:8]}"
    return pipeline.model_copy(update={"topic": name, "table": name})


@pytest.fixture
def broker(stack_settings: Settings) -> Iterator[Broker]:
    """Kafka of the suite's stack."""
    with Broker(stack_settings.kafka) as broker:
        yield broker


@pytest.fixture
def store(stack_settings: Settings) -> Iterator[Store]:
    """Cassandra of the suite's stack."""
    with Store(stack_settings.cassandra) as store:
        yield store
