"""One engine and one stack for all these tests, which follow one another; the figures stand at the end."""

from collections.abc import Iterator

import pytest

from penstock.config import Settings
from penstock.kafka import Broker
from tests.compose.engine import engine
from tests.compose.project import Project, make_env

PROJECT = pytest.StashKey[Project]()


@pytest.fixture(scope="session")
def built(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The stack of compose.yaml, its image made and nothing started; without an engine this fails."""
    folder = tmp_path_factory.mktemp("compose")
    make_env(folder)
    with engine() as found:
        project = pytestconfig.stash[PROJECT] = Project(found, folder)
        project.build()
        try:
            yield project
        finally:
            project.remove()


@pytest.fixture(scope="session")
def project(built: Project) -> Project:
    """The stack, everything healthy."""
    built.up("first start")
    return built


@pytest.fixture
def broker() -> Iterator[Broker]:
    """The stack's Kafka, as this machine sees it."""
    with Broker(Settings().resolved().kafka) as broker:
        yield broker


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints what was measured."""
    project = config.stash.get(PROJECT, None)
    for what, figure in project.figures.items() if project else ():
        terminalreporter.write_line(f"{what:24} {figure}")
