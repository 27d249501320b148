"""The type of a field, of the values that it has in a sample: never one that one of them does not fit."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from ipaddress import ip_address
from itertools import product
from typing import Any
from uuid import UUID

from penstock.errors import ContractError
from penstock.pipelines.contract import From
from penstock.pipelines.times import EpochMillis, EpochSeconds, Format, Iso8601, Rfc2822, TimeForm
from penstock.pipelines.types import TYPES, Int32, IPAddress, JsonText

_TIME_NAME = re.compile(
    "(^|_)(time|date|datetime|timestamp|ts|at|on|when|day|epoch|created|updated|modified|changed|published|expires?|"
    "expiry|since|until|start|started|end|ended|begin|last|seen|deleted|closed|opened|registered)($|_)"
)
_MONEY_NAME = re.compile("(^|_)(price|amount|cost|total|balance|fee|tax|rate|salary|sum|charge|discount)($|_)")
_ADDRESS_NAME = re.compile(
    "(^|_)(ip|ipv4|ipv6|addr|address|host|client|remote|peer|server|source|src|dst|network)($|_)"
)
_ID_NAME = re.compile("(^|_)(id|key|code|number|no|ref|sku|serial|account)($|_)")
_COUNT_NAME = re.compile("(count|counter|views?|bytes|size|length|population|sequence|offset|version)")

_EXACT = 2**53
"""Beyond it a double skips whole numbers."""
_SMALL = 2**15
"""`Int32` is proposed for numbers that could grow 65,536 times and still fit."""
_EARLIEST_S, _LATEST_S = 631_152_000, 4_102_444_800  # 1990 to 2100
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_RFC_2822 = re.compile(r"([A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d.*")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:?\d\d.*|\d{8}T\d{4,6}.*")


@dataclass(frozen=True)
class Kind:
    """A type of `penstock.pipelines.types`, how the API writes a time, and what is doubtful.

    With `as_template` the value is written as text, which whole numbers need where the column is text.
    """

    python: Any
    form: TimeForm | None = None
    as_template: bool = False
    doubt: str = ""

    @property
    def is_time(self) -> bool:
        return TYPES[self.python].is_time

    @property
    def is_flag(self) -> bool:
        return TYPES[self.python].is_flag

    @property
    def is_identity(self) -> bool:
        """Whether values of the type are made to be unique."""
        return self.python is UUID

    @property
    def may_be_key(self) -> bool:
        """Whether it may be part of a key: fractions are hardly ever equal, and of flags there are two."""
        row = TYPES[self.python]
        return row.is_key and not row.has_infinity and not row.is_flag


ANYTHING = Kind(JsonText)


def kind_of(name: str, values: Sequence[Any]) -> Kind:
    """The type of a column of this name with these values, none of them null."""
    kinds = frozenset(
        float if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value) for value in values
    )
    if found := _OF_ONE_KIND.get(kinds):
        return found(name, values)
    if kinds == {str, float} and not any(isinstance(value, float) for value in values):
        return Kind(str, as_template=True, doubt="text in some items, a whole number in others")
    names = " and ".join(sorted(kind.__name__ for kind in kinds))
    return Kind(JsonText, doubt=f"{names} in different items")


def is_time_name(name: str) -> bool:
    return _TIME_NAME.search(name) is not None


def _of_nothing(name: str, _: Sequence[Any]) -> Kind:
    if is_time_name(name):
        return Kind(datetime, doubt="null in all items that were seen; by its name it is a time in RFC 3339")
    return Kind(JsonText, doubt="null in all items that were seen: which type has it?")


def _of_texts(name: str, texts: Sequence[str]) -> Kind:
    if all(map(_is_uuid, texts)):
        return Kind(UUID)
    if kind := _of_times(name, texts):
        return kind
    if all(map(_is_address, texts)) and (_ADDRESS_NAME.search(name) or any(":" in text for text in texts)):
        return Kind(IPAddress)
    if all(re.fullmatch(r"-?(0|[1-9]\d{0,30})\.\d{1,30}", text) for text in texts) and "version" not in name:
        return Kind(Decimal)
    return Kind(str)


def _of_times(name: str, texts: Sequence[str]) -> Kind | None:
    if _read(Iso8601(), texts) and (kind := _of_iso_8601(texts)):
        return kind
    if all(map(_RFC_2822.fullmatch, texts)) and _read(Rfc2822(), texts):
        return Kind(datetime, Rfc2822())
    if is_time_name(name) and all(text.isascii() and text.isdigit() for text in texts):
        if all(len(text) == 8 for text in texts) and _read(Iso8601(), texts):
            return Kind(date, Iso8601())
        return _of_epochs([int(text[:20]) for text in texts])
    return _of_formats(texts)


def _of_iso_8601(texts: Sequence[str]) -> Kind | None:
    """Of texts that `Iso8601` reads, which reads some numbers too."""
    for python in (datetime, date):
        if _hold(python, texts):
            return Kind(python)
    if not all(map(_ISO.fullmatch, texts)):
        return None
    zones = all(datetime.fromisoformat(text).tzinfo for text in texts)
    return Kind(datetime, Iso8601(), doubt="" if zones else "without a zone: taken for UTC")


def _of_formats(texts: Sequence[str]) -> Kind | None:
    """The one format that reads all; of two that do, one takes days for months."""
    if not all(any(letter.isdigit() for letter in text) and len(text) < 40 for text in texts):
        return None
    fitting = [(day, clock) for day, clock in product(_DAYS, _CLOCKS) if _read(Format(day + clock), texts)]
    fitting = [one for one in fitting if "%b" not in one[0] or (one[0].replace("%b", "%B"), one[1]) not in fitting]
    if not fitting:
        return None
    if len(fitting) > 1:
        names = " or ".join(repr(day + clock) for day, clock in fitting)
        return Kind(str, doubt=f"a time of which the sample does not tell whether it is in the format {names}")
    [(day, clock)] = fitting
    form = Format(day + clock)
    return (
        Kind(datetime, form, doubt=f"a time in the zone UTC? Else Format({form.text!r}, zone=…)")
        if clock
        else Kind(date, form)
    )


def _of_epochs(numbers: Sequence[int | float]) -> Kind | None:
    if all(_EARLIEST_S <= number < _LATEST_S for number in numbers):
        return Kind(datetime, EpochSeconds(), doubt="seconds since 1970, by its name and size")
    if all(_EARLIEST_S * 1_000 <= number < _LATEST_S * 1_000 for number in numbers):
        return Kind(datetime, EpochMillis(), doubt="milliseconds since 1970, by its name and size")
    return None


def _of_numbers(name: str, numbers: Sequence[int | float]) -> Kind:
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        return Kind(float, doubt="beyond the largest number that a double holds in some items, which are rejected")
    if is_time_name(name) and (kind := _of_epochs(numbers)):
        return kind
    if any(isinstance(number, float) for number in numbers):
        beyond = any(isinstance(number, int) and abs(number) > _EXACT for number in numbers)
        return Kind(Decimal) if beyond or _MONEY_NAME.search(name) else Kind(float)
    largest = max(abs(number) for number in numbers)
    if largest >= 2**63:
        return _beyond_64_bits(name, int(largest))
    is_open = _ID_NAME.search(name) or _COUNT_NAME.search(name) or is_time_name(name)
    return Kind(Int32 if largest < _SMALL and not is_open else int)


def _beyond_64_bits(name: str, largest: int) -> Kind:
    if _ID_NAME.search(name):
        return Kind(str, as_template=True, doubt="whole numbers beyond 64 bits, kept as text")
    if largest < 10**100:
        return Kind(Decimal, doubt="whole numbers beyond 64 bits")
    return Kind(JsonText, doubt="whole numbers that no column holds")


def _of_lists(_: str, values: Sequence[list[Any]]) -> Kind:
    if all(isinstance(item, str) for value in values for item in value):
        return Kind(list[str]) if any(values) else Kind(JsonText, doubt="an empty list in all items that were seen")
    return ANYTHING


def _of_objects(_: str, values: Sequence[Mapping[str, Any]]) -> Kind:
    are_maps = all(isinstance(part, str) for value in values for part in value.values())
    return Kind(dict[str, str]) if are_maps else ANYTHING


_OF_ONE_KIND: Mapping[frozenset[type], Callable[[str, Sequence[Any]], Kind]] = {
    frozenset(): _of_nothing,
    frozenset({str}): _of_texts,
    frozenset({bool}): lambda _name, _values: Kind(bool),
    frozenset({float}): _of_numbers,
    frozenset({list}): _of_lists,
    frozenset({dict}): _of_objects,
}
"""For values of one type of Python; whole numbers are among floats."""


def _is_uuid(text: str) -> bool:
    form = TYPES[UUID].form
    return form is not None and form.holds(text)


def _hold(python: Any, texts: Sequence[str]) -> bool:
    form = TYPES[python].form
    return form is not None and all(map(form.holds, texts))


def _read(form: TimeForm, texts: Sequence[str]) -> bool:
    return all(form(text) is not None for text in texts)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def can_be_template(path: str) -> bool:
    """Whether a template can name the path."""
    try:
        template = From(f"{{{path}}}").template
    except ContractError:
        return False
    return template is not None and template.paths == (path,)
