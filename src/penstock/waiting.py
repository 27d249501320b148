"""Asking again until the answer is the one that is waited for, or the time is over."""

from collections.abc import Callable
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
