"""A guarded cluster for the tests of clients that are let in, and of those that are not."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from penstock.config import Settings
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import load_pipeline
from rig.stacks import settings_in
from tests.secured import guarded_cassandra, guarded_kafka, let_in_by_password, secured
from tests.services.servers import running


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Kafka and Cassandra with TLS both ways and credentials; the settings are those of a client that they let in."""
    settings = secured(settings_in(tmp_path_factory.mktemp("guarded") / "home"))
    with running(guarded_kafka, settings), running(guarded_cassandra, settings):
        yield let_in_by_password(settings)


@pytest.fixture
def own() -> Pipeline:
    """The users pipeline with a topic and a table of the test."""
    name = f"users_{uuid4().hex[:8]}"
    return load_pipeline("penstock.users:USERS").model_copy(update={"topic": name, "table": name})
