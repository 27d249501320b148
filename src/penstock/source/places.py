"""Paths in an answer: the value that stands at one, or an error that says what stands there instead.

A path is names with dots between them; a dot that is part of a name has a backslash before it: `@odata\\.nextLink`.
"""

import re
import reprlib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.dataclasses import dataclass

_MOST_KEYS = 12


@dataclass(frozen=True)
class Columns:
    """Columns beside each other, `{"time": [...], "wind": [...]}`, at this path: all n-th values make the n-th item."""

    path: str


@dataclass(frozen=True)
class One:
    """The object at this path, "" for the answer itself, is the one item that there is."""

    path: str


Items = str | Columns | One
"""Where the items of an answer are: the dotted path of a list, or one of the other forms."""


@dataclass(frozen=True)
class Header:
    """A header of the answer, in place of a path in its body."""

    name: str


class AbsentError(Exception):
    """Something does not stand where it was declared; the text says what stands there instead."""


def at(document: Any, path: str) -> Any:
    """The value at a dotted path of nested objects; "" is the root, and None stands for what is absent or null."""
    return _at(document, _names(path))


def is_there(document: Any, path: str) -> bool:
    """Whether the path leads to something, even if that is null."""
    *around, name = _names(path)
    parent = _at(document, around)
    return isinstance(parent, Mapping) and name in parent


def at_in_an_object(document: Any, path: str, what: str) -> Any:
    """As `at`, but only the last name may be absent: an API leaves out its last cursor, not the object around it.

    Raises:
        AbsentError: nothing leads there.
    """
    *around, _ = _names(path)
    parent = _at(document, around)
    if not isinstance(parent, Mapping):
        raise AbsentError(f"{what} is {path!r}, and there is no object for it: {came(document)}")
    return at(document, path)


def whole_number(value: Any, what: str) -> int:
    """A number that may have come as text, as in a header.

    Raises:
        AbsentError: it is none.
    """
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise AbsentError(f"{what} is {shown_value(value)}, which is no whole number")
    return value


def items_in(document: Any, items: Items) -> list[Any]:
    """The items of an answer.

    Raises:
        AbsentError: no list, or columns that do not fit together, or no object.
    """
    if isinstance(items, Columns):
        return _zipped(document, items.path)
    if isinstance(items, One):
        return [_object(document, items.path)]
    found = at(document, items)
    if not isinstance(found, list):
        raise AbsentError(f"items is {items!r}, which is {_kind(found)}: {came(document)}")
    return found


def came(document: Any, what: str = "the answer") -> str:
    """A description of an answer or an item for an error: the names of its keys, never values."""
    if isinstance(document, Mapping):
        names = [reprlib.repr(name)[1:-1] for name in list(document)[:_MOST_KEYS]]
        more = f" and {len(document) - _MOST_KEYS} more" if len(document) > _MOST_KEYS else ""
        return f"{what}'s keys are {', '.join(names)}{more}" if names else f"{what} is an empty object"
    return f"{what} is {_kind(document)}"


def kind_came(value: Any) -> str:
    """The kind of a value of JSON for an error, never the value."""
    for kind, name in ((bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "text")):
        if isinstance(value, kind):
            return name
    return _kind(value)


def shown_value(value: Any) -> str:
    return reprlib.repr(value)


def _zipped(document: Any, path: str) -> list[Any]:
    columns = at(document, path)
    if not isinstance(columns, Mapping) or not all(isinstance(column, list) for column in columns.values()):
        raise AbsentError(f"items is Columns({path!r}), which is no object of lists: {came(document)}")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise AbsentError(f"the columns of {path!r} differ in length: {shown_value(lengths)}")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _object(document: Any, path: str) -> Any:
    found = at(document, path)
    if not isinstance(found, Mapping):
        raise AbsentError(f"items is One({path!r}), which is {_kind(found)}: {came(document)}")
    return found


def _at(document: Any, names: Iterable[str]) -> Any:
    for name in names:
        if not isinstance(document, Mapping) or name not in document:
            return None
        document = document[name]
    return document


def as_name(name: str) -> str:
    """A name as it stands in a path."""
    return name.replace(".", r"\.")


def _names(path: str) -> list[str]:
    return [name.replace(r"\.", ".") for name in _DOT.split(path)] if path else []


_DOT = re.compile(r"(?<!\\)\.")


def _kind(value: Any) -> str:
    if value is None:
        return "absent or null"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def overlaps(following: list[Any], items: list[Any]) -> bool:
    """Whether more than half of a page was on the page before: then it is none of its own."""
    known = set(map(repr, items))
    return sum(repr(item) in known for item in following) * 2 > len(following)
