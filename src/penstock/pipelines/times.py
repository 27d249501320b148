"""Forms in which an API writes times, for `From("time", form=EpochMillis())`: numbers, or text of some kind.

A message has one form, RFC 3339, whatever the API has; what a form does not read stays as it is, and is judged as
that. A form of your own is any object that can be called in the same way.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from penstock.errors import ContractError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 20
"""Power of ten. A larger number is no time, and would take time to write out."""


class TimeForm(Protocol):
    """Reads times."""

    def __call__(self, value: Any) -> datetime | None:
        """The time that the API's value names, with its zone; None where it names none."""


def _since_1970(value: Any, unit: timedelta) -> datetime | None:
    """Of a number, or of one that is written as text; what is finer than a microsecond is cut off."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(value if isinstance(value, str) else repr(value))
        if not number.is_finite() or number.adjusted() > _LARGEST:
            return None
        microseconds = number * (unit // timedelta(microseconds=1))
        return _EPOCH + timedelta(microseconds=math.floor(microseconds))
    except (ArithmeticError, ValueError):
        return None


@dataclass(frozen=True)
class EpochSeconds:
    """Seconds since 1970 in UTC, with or without a fraction: `1741789800`."""

    def __call__(self, value: Any) -> datetime | None:
        return _since_1970(value, timedelta(seconds=1))


@dataclass(frozen=True)
class EpochMillis:
    """Milliseconds since 1970 in UTC: `1741789800123`."""

    def __call__(self, value: Any) -> datetime | None:
        return _since_1970(value, timedelta(milliseconds=1))


@dataclass(frozen=True)
class Rfc2822:
    """The times of mails and of HTTP: `Wed, 12 Mar 2025 14:30:00 GMT`."""

    def __call__(self, value: Any) -> datetime | None:
        try:
            return _aware(parsedate_to_datetime(value), UTC) if isinstance(value, str) else None
        except ValueError:
            return None


@dataclass(frozen=True)
class Iso8601:
    """ISO 8601 in every form that Python reads, also without seconds or with a space; `zone` where it names none."""

    zone: str = "UTC"

    def __post_init__(self) -> None:
        _zone(self.zone)

    def __call__(self, value: Any) -> datetime | None:
        try:
            return _aware(datetime.fromisoformat(value), _zone(self.zone)) if isinstance(value, str) else None
        except ValueError:
            return None


@dataclass(frozen=True)
class Format:
    """Text in a format of `strptime`, e.g. `%d.%m.%Y %H:%M`; `zone` where the text names none."""

    text: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        _zone(self.zone)
        try:
            datetime.strptime(datetime(2025, 3, 12, tzinfo=UTC).strftime(self.text), self.text)  # noqa: DTZ007 - thrown away
        except ValueError as error:
            raise ContractError(
                f"Format({self.text!r}) is no format of strptime: {error}. See "
                "https://docs.python.org/3/library/datetime.html#format-codes"
            ) from error

    def __call__(self, value: Any) -> datetime | None:
        try:
            return _aware(datetime.strptime(value, self.text), _zone(self.zone)) if isinstance(value, str) else None  # noqa: DTZ007
        except ValueError:
            return None


def _aware(moment: datetime, zone: Any) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ContractError(f"{name!r} is no zone of the IANA's database, e.g. Europe/Berlin: {error}") from error
