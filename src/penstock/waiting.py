"""Asking again until the answer is the one that is waited for, or the time is over; and the pauses between attempts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_exponential,
)

_FIRST_PAUSE_S = 0.1


def until(
    is_enough: Callable[[Any], bool],
    timeout_s: float,
    give_up: Callable[[RetryCallState], Any],
    passing: tuple[type[Exception], ...] = (),
    longest_pause_s: float = 2,
) -> Retrying:
    """Calls a function, with growing pauses, until its result is enough, and returns that.

    Errors that are `passing` count as results that are not enough. When the time is over, `give_up` raises or returns.
    """
    return Retrying(
        retry=retry_if_result(lambda result: not is_enough(result)) | retry_if_exception_type(passing),
        stop=stop_after_delay(timeout_s),
        wait=wait_exponential(multiplier=_FIRST_PAUSE_S, max=longest_pause_s),
        retry_error_callback=give_up,
    )


@dataclass
class BackOff:
    """How long to wait before the next attempt: doubling, and from the beginning after a healthy minute."""

    first_s: float = 0.5
    longest_s: float = 30.0
    healthy_s: float = 60.0
    deaths: int = 0

    def next_s(self, lived_s: float) -> float:
        """The pause after a life of `lived_s` seconds; a start that failed has lived for none."""
        if lived_s >= self.healthy_s:
            self.deaths = 0
        self.deaths += 1
        return min(self.longest_s, self.first_s * 2.0 ** min(self.deaths - 1, 30))
