"""The types that a field may have: one row each, with everything in which types differ.

To add a type, add its row to `TYPES`. Nothing else asks for a type: the declaration, the JSON Schema, validation, the
table, Spark's reading and writing, the comparison of a row with its message and the search by key read the row.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime


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


def _fits(_: Any) -> bool:
    return True


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class FieldType:
    """One type in every form that it takes on the way.

    Cassandra's names: https://cassandra.apache.org/doc/5.0/cassandra/developing/cql/types.html
    """

    python: type
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
    is_converted: bool = False
    """Whether Spark reads text from JSON and casts it to `spark` when it has the right form."""
    has_infinity: bool = False
    """Whether Spark reads a number that is too large as infinity, which is no value of ours."""
    fits: Callable[[Any], bool] = _fits
    """Whether a value of JSON that Python can hold fits the column."""
    from_text: Callable[[str], Any] | None = None
    """Reads what a person types to find a key; None where the type is no key that people would type."""
    from_driver: Callable[[Any], Any] = _as_it_is
    """Makes Python's value of what Cassandra's driver gives."""
    is_same: Callable[[Any, Any], bool] = operator.eq
    """Whether the value of a record is the one that its row shows."""


def _in_64_bits(value: Any) -> bool:
    return bool(-(2**63) <= value < 2**63)


def _in_utc(value: datetime) -> datetime:
    """The driver gives times in UTC without saying so."""
    return value.replace(tzinfo=UTC)


def _same_millisecond(expected: datetime, found: datetime) -> bool:
    """Cassandra keeps milliseconds."""
    return abs(expected - found) < timedelta(milliseconds=1)


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
        float,
        cql="double",
        spark="DOUBLE",
        json=r"BIGINT|DOUBLE|DECIMAL\(\d+,\d+\)",
        least_bytes=8,
        has_infinity=True,
        from_text=float,
    ),
    FieldType(bool, cql="boolean", spark="BOOLEAN", json="BOOLEAN", least_bytes=1),
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
        is_converted=True,
        from_driver=_in_utc,
        is_same=_same_millisecond,
    ),
)
TYPES = {row.python: row for row in _ROWS}

_OTHER_NAMES: dict[Any, type] = {AwareDatetime: datetime}
"""Annotations that mean one of `TYPES`."""


def plain_type(annotation: Any) -> tuple[Any, bool]:
    """(the annotated type without None and without metadata, whether None is allowed)."""
    if annotation in _OTHER_NAMES:
        return _OTHER_NAMES[annotation], False
    if get_origin(annotation) is Annotated:
        return plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        if len(members) == 1:
            return plain_type(members[0])[0], True
    return annotation, False
