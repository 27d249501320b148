"""One browser for all tests, and a console that sees what they let it see."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from rig.browsers import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Every test opens a context of its own."""
    with chromium() as found:
        yield found
