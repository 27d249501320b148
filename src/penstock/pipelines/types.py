"""The types that a field may have: one row each, with everything in which types differ.

To add a type, add its row to `TYPES`. Nothing else asks for a type: the declaration, the JSON Schema, validation, the
table, Spark's reading and writing, the comparison of a row with its message and the search by key read the row.
"""

import operator
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime

from penstock.pipelines.item_values import (
    address_of_item,
    base64_of_item,
    date_of_item,
    decimal_of_item,
    json_of_item,
    time_of_item,
)


@dataclass(frozen=True)
class Marker:
    """Tells a type from another one that has the same Python type."""

    name: str


Int32 = Annotated[int, Marker("Int32")]
"""A whole number of 32 bits; `int` has 64."""
JsonText = Annotated[str, Marker("JsonText")]
"""Whatever stands at the field's place in the API's answer, objects and lists too, as compact JSON text."""
IPAddress = IPv4Address | IPv6Address
"""An address of either kind. IPv4 within IPv6 (`::ffff:…`) is taken for what it is: IPv4."""


@dataclass(frozen=True)
class Form:
    """How JSON text must be written, so that every reader takes it for the same value; pydantic also reads other forms.

    `pattern` is what the whole text matches, in the syntax that Python and Java share; `rule` says what is wrong with
    text that does not.
    """

    pattern: str
    rule: str

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.ASCII)

    def holds(self, text: str) -> bool:
        return self._compiled.fullmatch(text) is not None


@dataclass(frozen=True)
class Items:
    """Checks of a collection of texts, as expressions of Spark's SQL over `{0}`."""

    are_text: str
    """Whether all items of the JSON value, a VARIANT, are text."""
    any_null: str
    """Whether an item of what Spark read is null."""
    names_repeat: str = "false"
    """Whether a name stands twice in what Spark read."""


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class FieldType:
    """One type in every form that it takes on the way.

    Cassandra's names: https://cassandra.apache.org/doc/5.0/cassandra/developing/cql/types.html
    """

    python: Any
    """In the declaration."""
    cql: str
    """In the table."""
    spark: str
    """In the stream, as in Spark's DDL."""
    json: str
    """Expression for the types that Spark's `schema_of_variant` prints where a JSON value may be one of this type:
    https://spark.apache.org/docs/4.0.0/api/sql/"""
    least_bytes: int | None
    """Size of the smallest value in Cassandra; None for text, whose characters are counted."""
    form: Form | None = None
    """Of types that are text in JSON: which text."""
    convert: str = ""
    """Expression of Spark's SQL that makes a value of the column of `{0}`, which is text of the right form from JSON;
    null where it names none. Empty where the value is the column's as Spark reads it."""
    items: Items | None = None
    """Of collections."""
    has_infinity: bool = False
    """Whether Spark reads a number that is too large as infinity, which is no value of ours."""
    fits: Callable[[Any], bool] | None = None
    """Whether a value of JSON that Python can hold fits the column; None where each does."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of a message's value, where pydantic's own is another."""
    from_item: Callable[[Any], Any] | None = None
    """Makes of the API's value the JSON value of a message, where that is another; what is no value stays as it is."""
    is_flag: bool = False
    """Whether a value says yes or no, and not only by being there."""
    is_time: bool = False
    """Whether the API's value may be written in a form of `penstock.pipelines.times`."""
    is_key: bool = True
    """Whether it may be part of a key: what is equal for Python must be equal for Cassandra, byte by byte."""
    as_key: Callable[[Any], Any] = _as_it_is
    """A record's value as its row has it in the key."""
    from_text: Callable[[str], Any] | None = None
    """Reads what a person types to find a key; None where the type is no key that people would type."""
    from_driver: Callable[[Any], Any] = _as_it_is
    """Makes Python's value of what Cassandra's driver gives."""
    is_same: Callable[[Any, Any], bool] = operator.eq
    """Whether the value of a record is the one that its row shows."""


def _in_64_bits(value: Any) -> bool:
    return bool(-(2**63) <= value < 2**63)


def _in_32_bits(value: Any) -> bool:
    return bool(-(2**31) <= value < 2**31)


def _in_utc(value: datetime) -> datetime:
    """The driver gives times in UTC without saying so."""
    return value.replace(tzinfo=UTC)


def _to_the_millisecond(value: datetime) -> datetime:
    """Cassandra keeps milliseconds, and rounds down."""
    return value.astimezone(UTC).replace(microsecond=value.microsecond // 1_000 * 1_000)


def _same_millisecond(expected: datetime, found: datetime) -> bool:
    return abs(expected - found) < timedelta(milliseconds=1)


def _time_of_text(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return _to_the_millisecond(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _flag_of_text(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _groups(pattern: str) -> str:
    """Eight groups of four hexadecimal digits, of which zeros in a row may be left out once (RFC 4291, section 2.2)."""
    one = "[0-9a-f]{1,4}"
    middle = (f"({one}:){{1,{7 - right}}}(:{one}){{1,{right}}}" for right in range(1, 7))
    return pattern % "|".join((f"({one}:){{7}}{one}", f"({one}:){{1,7}}:", *middle, f":(:{one}){{1,7}}", "::"))


_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# Java takes IPv4 within IPv6 for IPv4, Python does not.
_ADDRESS = rf"({_BYTE}\.){{3}}{_BYTE}|" + _groups("(?!(0{1,4}:|:)+ffff:[0-9a-f]{1,4}:[0-9a-f]{1,4}(?![0-9a-f:]))(%s)")
_DIGIT = "[A-Za-z0-9_-]"
_LISTED = Items("schema_of_variant({0}) RLIKE '^ARRAY<(STRING|VOID)>$'", "exists({0}, item -> item IS NULL)")
_MAPPED = Items(
    "forall(map_values(try_cast({0} AS map<string, variant>)), item -> schema_of_variant(item) = 'STRING')",
    "exists(map_values({0}), item -> item IS NULL)",
    "cardinality(array_distinct(map_keys({0}))) < cardinality({0})",
)

_ROWS = (
    FieldType(
        UUID,
        cql="uuid",
        spark="STRING",
        json="STRING",
        least_bytes=16,
        form=Form(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "is not a UUID of 36 characters"),
        from_text=UUID,
    ),
    FieldType(str, cql="text", spark="STRING", json="STRING", least_bytes=None, from_text=str),
    FieldType(int, cql="bigint", spark="BIGINT", json="BIGINT", least_bytes=8, fits=_in_64_bits, from_text=int),
    FieldType(
        Int32,
        cql="int",
        spark="INT",
        json="BIGINT",
        least_bytes=4,
        fits=_in_32_bits,
        schema={"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
        from_text=int,
    ),
    FieldType(
        float,
        cql="double",
        spark="DOUBLE",
        json=r"BIGINT|DOUBLE|DECIMAL\(\d+,\d+\)",
        least_bytes=8,
        has_infinity=True,
        from_text=float,
    ),
    FieldType(
        Decimal,
        cql="decimal",
        spark="STRING",  # of any scale, which a DECIMAL of Spark's is not
        json="STRING",
        least_bytes=5,
        form=Form(
            r"-?((0|[1-9][0-9]{0,99})(\.[0-9]{1,100})?|[0-9](\.[0-9]{1,100})?E[+-][0-9]{1,3})",
            "is not a decimal number as text, e.g. 12.50",
        ),
        schema={"type": "string"},
        from_item=decimal_of_item,
        is_key=False,  # 1.0 and 1.00 are two keys
    ),
    FieldType(
        bool, cql="boolean", spark="BOOLEAN", json="BOOLEAN", least_bytes=1, is_flag=True, from_text=_flag_of_text
    ),
    FieldType(
        datetime,
        cql="timestamp",
        spark="TIMESTAMP",
        json="STRING",
        least_bytes=8,
        # RFC 3339, section 5.6, with the seconds that Cassandra and Spark can hold: an offset must be there.
        form=Form(
            r"(?!0000)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)",
            "is not a date and time with an offset (RFC 3339)",
        ),
        convert="try_cast({0} AS TIMESTAMP)",
        from_item=time_of_item,
        is_time=True,
        as_key=_to_the_millisecond,
        from_text=_time_of_text,
        from_driver=_in_utc,
        is_same=_same_millisecond,
    ),
    FieldType(
        date,
        cql="date",
        spark="STRING",  # the connector takes Spark's DATE through a calendar and the JVM's zone
        json="STRING",
        least_bytes=4,
        form=Form(r"(?!0000)\d{4}-\d\d-\d\d", "is not a date (RFC 3339), e.g. 2025-03-12"),
        convert="CASE WHEN try_cast({0} AS DATE) IS NOT NULL THEN {0} END",
        from_item=date_of_item,
        is_time=True,
        from_text=date.fromisoformat,
        from_driver=lambda found: found.date(),
    ),
    FieldType(
        IPAddress,
        cql="inet",
        spark="STRING",
        json="STRING",
        least_bytes=4,
        form=Form(_ADDRESS, "is not an IP address in small letters, or it is IPv4 within IPv6"),
        schema={"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
        from_item=address_of_item,
        from_text=ip_address,
        from_driver=ip_address,
    ),
    FieldType(
        bytes,
        cql="blob",
        spark="BINARY",
        json="STRING",
        least_bytes=0,
        form=Form(
            rf"({_DIGIT}{{4}})*({_DIGIT}[AQgw]==|{_DIGIT}{{2}}[AEIMQUYcgkosw048]=)?",
            "is not base64 in the alphabet with - and _ (RFC 4648, section 5), with its padding",
        ),
        convert="try_to_binary(translate({0}, '-_', '+/'), 'base64')",
        schema={"type": "string", "contentEncoding": "base64url"},
        from_item=base64_of_item,
        is_key=False,
    ),
    FieldType(
        list[str],
        cql="frozen<list<text>>",
        spark="ARRAY<STRING>",
        json="ARRAY<.*>",
        least_bytes=4,
        items=_LISTED,
        is_key=False,
        from_driver=list,
    ),
    FieldType(
        set[str],
        cql="frozen<set<text>>",
        spark="ARRAY<STRING>",
        json="ARRAY<.*>",
        least_bytes=4,
        items=_LISTED,
        # A text that stands twice is no error: pydantic, too, takes it once.
        schema={"type": "array", "items": {"type": "string"}},
        is_key=False,
        from_driver=set,
    ),
    FieldType(
        dict[str, str],
        cql="frozen<map<text, text>>",
        spark="MAP<STRING, STRING>",
        json="OBJECT<.*>",
        least_bytes=4,
        items=_MAPPED,
        is_key=False,
        from_driver=dict,
    ),
    FieldType(
        JsonText,
        cql="text",
        spark="STRING",
        json="STRING",
        least_bytes=None,
        from_item=json_of_item,
        is_key=False,
    ),
)
TYPES = {row.python: row for row in _ROWS}

_OTHER_NAMES: dict[Any, Any] = {AwareDatetime: datetime}
"""Annotations that mean one of `TYPES`."""
_SPOKEN: Mapping[Any, str] = {IPAddress: "IPAddress"} | {
    kind: str(kind) for kind in (list[str], set[str], dict[str, str])
}


def type_name(python: Any) -> str:
    """The name of a type as a declaration writes it."""
    marker = next((part.name for part in get_args(python) if isinstance(part, Marker)), "")
    return marker or _SPOKEN.get(python) or str(getattr(python, "__name__", python))


def plain_type(annotation: Any, metadata: Iterable[Any] = ()) -> tuple[Any, bool]:
    """(the annotated type without None and without metadata but for a `Marker`, whether None is allowed)."""
    marker = next((item for item in metadata if isinstance(item, Marker)), None)
    if marker:
        return Annotated[plain_type(annotation)[0], marker], plain_type(annotation)[1]
    if annotation in _OTHER_NAMES:
        return _OTHER_NAMES[annotation], False
    if get_origin(annotation) is Annotated:
        inner, *rest = get_args(annotation)
        return plain_type(inner, rest)
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        nullable = len(members) < len(get_args(annotation))
        if len(members) == 1:
            return plain_type(members[0])[0], nullable
        return Union[tuple(members)], nullable  # noqa: UP007 - made from what was found
    return annotation, False


def told(value: Any) -> Any:
    """A value of a row as people read it, in JSON too: what JSON has no value for is text, or a list of texts."""
    if isinstance(value, set):
        return sorted(value)
    return urlsafe_b64encode(value).decode() if isinstance(value, bytes) else str(value)
