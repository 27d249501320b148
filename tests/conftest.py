"""What every suite may use: settings with ports and a folder of their own."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from penstock.config import Settings
from tests.stacks import free_ports, settings_in

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
