"""The data interval and the logical date of a run, and how they are written into its requests.

The same run has the same interval, whenever and however often it is tried: that is why a retry, a run that was cleared
and a backfill ask the same questions again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.errors import ConfigError, ContractError

# {{name}} is text; {name} and {name:format} are replaced; other braces are text, as GraphQL is full of them.
_MARK = re.compile(r"\{\{(?P<plain>\w+)\}\}|\{(?P<name>[A-Za-z_]\w*)(?::(?P<format>[^{}]*))?\}")
_OF_THE_INTERVAL = frozenset({"start", "end"})
_NAMES = ("start", "end", "logical_date", "seed")
_UNITS: Mapping[str, int] = {"epoch": 1, "epoch_ms": 1_000}


def seed_for(moment: datetime) -> str:
    """The seed of the run of an aware logical date: always 22 characters.

    The length is part of the promise. The users API appends the page's number to the seed, so that seeds of two lengths
    could ask for the same page, and it treats a seed of 18 characters as one that picks a nationality.
    """
    moment = _aware("a seed", moment)
    return f"{moment.year:04}{moment:%m%dT%H%M%S%fZ}"  # %Y of the year 999 has three characters on Linux


@dataclass(frozen=True)
class Interval:
    """The data interval of one run: from `start` until before `end`, both aware; None where nobody named one.

    Raises:
        ConfigError: it ends before it starts.
    """

    logical_date: datetime
    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("logical_date", "start", "end"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _aware(f"{name} of a run", value))
        if self.start and self.end and self.start > self.end:
            raise ConfigError(
                f"the interval from {self.start.isoformat()} to {self.end.isoformat()} ends before it starts"
            )

    @property
    def seed(self) -> str:
        return seed_for(self.logical_date)

    def filled(self, value: Any) -> Any:
        """The value of a declaration with all marks replaced, in texts within lists and objects as well.

        Raises:
            ConfigError: it asks for the interval, and there is none.
        """
        if isinstance(value, str):
            return _MARK.sub(self._replacement, value)
        if isinstance(value, Mapping):
            return {name: self.filled(part) for name, part in value.items()}
        return [self.filled(part) for part in value] if isinstance(value, (list, tuple)) else value

    def _replacement(self, mark: re.Match[str]) -> str:
        if mark["plain"]:
            return f"{{{mark['plain']}}}"
        value = getattr(self, mark["name"])
        if value is None:
            raise ConfigError(
                f"the source asks for {mark[0]}, but this run has no data interval: say which one, with --from and "
                "--to, or give the DAG's run a logical date"
            )
        if mark["name"] == "end" and self.start == self.end:
            raise ConfigError(
                f"the source asks for what lies before {mark[0]}, but this run's data interval is empty: it begins and "
                f"ends at {value.isoformat()}. By hand: --from and --to; a DAG without a schedule has no intervals"
            )
        return value if isinstance(value, str) else _formatted(value, mark["format"] or "")


def check_marks(value: Any) -> None:
    """Refuses a mark that no run could fill.

    Raises:
        ContractError: says which mark, and what there is.
    """
    for mark in _marks(value):
        name, form = mark["name"], mark["format"] or ""
        if name is None:
            continue
        if name not in _NAMES:
            known = ", ".join(f"{{{each}}}" for each in _NAMES)
            raise ContractError(
                f"{mark[0]} is no part of a run; there are {known}. To send it as it is: {{{{{name}}}}}"
            )
        if name == "seed" and form:
            raise ContractError(f"{mark[0]}: the seed is text and takes no format")
        if "%s" in form:
            raise ContractError(f"{mark[0]}: %s depends on the machine's time zone; write {{{name}:epoch}}")


def needs_interval(value: Any) -> bool:
    """Whether a declaration's value has {start} or {end} in it."""
    return any(mark["name"] in _OF_THE_INTERVAL for mark in _marks(value))


def has_marks(value: Any) -> bool:
    return any(mark["name"] for mark in _marks(value))


def _marks(value: Any) -> list[re.Match[str]]:
    if isinstance(value, str):
        return list(_MARK.finditer(value))
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return [mark for part in parts for mark in _marks(part)]


def _formatted(moment: datetime, form: str) -> str:
    """RFC 3339 in UTC where no format is given; `epoch` and `epoch_ms` count since 1970."""
    if form in _UNITS:
        return str(int(moment.timestamp() * _UNITS[form]))
    return moment.strftime(form) if form else moment.isoformat().replace("+00:00", "Z")


def _aware(what: str, moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: {what} needs an aware moment")
    return moment.astimezone(UTC)


def yesterday(now: datetime) -> Interval:
    """The interval of a daily run that is over; `now` is aware."""
    end = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=1)
    return Interval(start, start, end)
