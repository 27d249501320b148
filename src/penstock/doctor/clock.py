"""This machine's clock against those of servers that tell the time over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from penstock.doctor.finding import Finding, failed, fine, note

ALLOWED = timedelta(seconds=30)
"""Certificates, tokens and write times all want clocks that agree; an HTTP date is whole seconds."""

Now = Callable[[], datetime]


def system_time() -> datetime:
    return datetime.now(UTC)


def clock(server: str, date: str | None, now: Now = system_time) -> Finding:
    """Compares this machine's clock with the `Date` of an answer that has just come."""
    try:
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return note("clock", f"{server} does not tell the time")
    off = now() - told
    if abs(off) <= ALLOWED:
        return fine("clock", f"agrees with {server}")
    direction = "ahead of" if off > timedelta() else "behind"
    return failed(
        "clock",
        f"this machine's is {abs(off).total_seconds():.0f} s {direction} that of {server}",
        "Have the time kept by NTP on both: timedatectl set-ntp true. Which row is newest is decided by time",
    )
