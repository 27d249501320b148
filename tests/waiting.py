"""Waiting for conditions, never for times."""

import threading
import time
from collections.abc import Callable

TIMEOUT_S = 600
"""For anything that must come to pass by itself: far beyond what it takes on a machine of a third of the speed."""

never = threading.Event()


def until(
    condition: Callable[[], object],
    what: str = "the condition of the test",
    timeout_s: float = TIMEOUT_S,
    every_s: float = 0.1,
) -> None:
    """Waits for what has no event of its own.

    Raises:
        TimeoutError: it did not come to pass.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s:.0f} s")
        never.wait(every_s)
