"""Waiting for conditions, never for times."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

TIMEOUT_S = 600
"""For anything that must come to pass by itself: far beyond what it takes on a machine of a third of the speed."""

never = threading.Event()

Found = TypeVar("Found")


def until(
    condition: Callable[[], Found],
    what: str = "the condition of the test",
    timeout_s: float = TIMEOUT_S,
    every_s: float = 0.05,
) -> Found:
    """Waits for what has no event of its own, and returns what the condition gave.

    Raises:
        TimeoutError: it did not come to pass.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s")
        never.wait(every_s)
    return found
