"""Delays requests: by the declared rate, and by the number of requests that the API says remain."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from penstock.source.rate import PerSecond

# https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api, and the same names without X-, as in
# https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
_REMAINING = ("X-RateLimit-Remaining", "RateLimit-Remaining")
_RESET = ("X-RateLimit-Reset", "RateLimit-Reset")
_SMALLEST_EPOCH_S = 1_000_000_000
"""2001. A smaller reset is seconds from now, a larger one a date."""


@dataclass(frozen=True)
class Clock:
    """Where time and chance come from; tests pass their own."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic_s: Callable[[], float] = time.monotonic
    sleep_s: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default=random.SystemRandom().random)
    """Uniform in [0, 1): the jitter of the pauses."""


class Pace:
    """The pace of one run's requests."""

    def __init__(self, rate: PerSecond | None, clock: Clock) -> None:
        self._apart_s = rate.apart_s if rate else 0.0
        self._clock = clock
        self._next_s = 0.0
        self._spent_until: datetime | None = None

    def begins(self, least_s: float) -> None:
        """Waits that long, or longer until the declared rate lets the next request go."""
        now_s = self._clock.monotonic_s()
        begin_s = max(now_s + least_s, self._next_s if self._apart_s else 0)
        if begin_s > now_s:
            self._clock.sleep_s(begin_s - now_s)
        self._next_s = begin_s + self._apart_s

    def hears(self, headers: Mapping[str, str]) -> None:
        """Keeps what an answer says of the requests that remain."""
        left = _first(headers, _REMAINING)
        wait_s = reset_s(headers, self._clock.now()) if left and left.strip() == "0" else None
        self._spent_until = None if wait_s is None else self._clock.now() + timedelta(seconds=wait_s)

    def spent_for_s(self) -> float:
        """Seconds until the API allows a request again; 0 where one remains. Asking for it forgets it."""
        until, self._spent_until = self._spent_until, None
        return max(0.0, (until - self._clock.now()).total_seconds()) if until else 0.0


def asked_pause_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long an answer that refuses asks to wait; None where it does not say, or not readably."""
    pause_s = _retry_after_s(headers.get("Retry-After", "").strip(), now)
    if pause_s is None and (_first(headers, _REMAINING) or "").strip() == "0":
        return reset_s(headers, now)
    return pause_s


def reset_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until requests remain again, which APIs give as such or as seconds since 1970."""
    text = (_first(headers, _RESET) or "").strip()
    if not (text.isascii() and text.replace(".", "", 1).isdigit()):
        return None
    reset = float(text)
    return max(0.0, reset - now.timestamp()) if reset >= _SMALLEST_EPOCH_S else reset


def _retry_after_s(text: str, now: datetime) -> float | None:
    """Both forms of https://www.rfc-editor.org/rfc/rfc9110#name-retry-after."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((headers[name] for name in names if name in headers), None)
