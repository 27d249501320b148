"""Numbers, times and names of runs as the sentences have them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def lasting(duration: timedelta) -> str:
    """E.g. 0.4 s, 12 s, 3 min, 2 h, 4 days; never less than nothing."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit, up_to in ((1, "s", 2 * _MINUTE), (_MINUTE, "min", 2 * _HOUR), (_HOUR, "h", 2 * _DAY)):
        if seconds < up_to:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / _DAY:.0f} days"


def counted(number: int, one: str, several: str = "") -> str:
    """E.g. 1 record, 3,204 records."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def listed(words: Sequence[str]) -> str:
    """E.g. "Kafka, Cassandra and Airflow"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def called(run: str) -> str:
    """A run by its logical date in UTC, e.g. "run of 27 Nov 14:30"; by its own name where that holds none."""
    try:
        date = datetime.fromisoformat(run.partition("__")[2]).astimezone(UTC)
    except ValueError:
        return f"run {run}" if run else "messages of no run"
    time = "" if date == date.replace(hour=0, minute=0, second=0, microsecond=0) else f" {date:%H:%M}"
    return f"run of {date.day} {date:%b}{time}"


def upper(text: str) -> str:
    """The text with a capital letter at its beginning, the others as they are."""
    return text[:1].upper() + text[1:]
