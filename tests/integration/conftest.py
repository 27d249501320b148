"""One real stack for the whole suite, started as a user starts it, stopped and checked for leftovers at the end."""

from collections.abc import Iterator

import pytest

from penstock.airflow import Airflow
from penstock.config import Settings
from penstock.launcher import control
from penstock.servers.secrets import with_credentials
from rig.stacks import processes_of, settings_in, start
from tests.hostile_environment import HOSTILE


@pytest.fixture(scope="session")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a stack with everything running, started by a user whose environment is full of traps, in a folder
    as macOS names it, with a letter of another script.
    """
    settings = settings_in(tmp_path_factory.mktemp("stack") / "Application Support" / "höme")
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in HOSTILE.items():
                patch.setenv(name, value)
            start(settings)
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


@pytest.fixture
def airflow(stack_settings: Settings) -> Iterator[Airflow]:
    """The stack's Airflow, with the DAG known and unpaused."""
    with Airflow(with_credentials(stack_settings)) as airflow:
        airflow.wait_until_parsed("user_info", 120)
        airflow.unpause("user_info")
        yield airflow
