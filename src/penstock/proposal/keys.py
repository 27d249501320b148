"""The key of a table: the columns by which no two items of a sample are the same."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from penstock.errors import SourceError
from penstock.pipelines.keys import Desc, Key
from penstock.proposal.fields import Field

_MOST_CANDIDATES = 10
_IDS = frozenset({"id", "uuid", "guid"})
_BY_NAME = re.compile(r"(.*_)?(id|uuid|guid|key|code|number|sku|isbn|slug|ref|symbol|identifier)")
_OTHER = 4
"""The first rank of fields whose name or type says nothing of a key; smaller ranks are tried first."""
_NOTHING = "null"
"""Stands for the value of an item that has none."""
_MOST_ABSENT = 0.1
"""Share of the items that may lack their key, and would be dead letters."""
_LONGEST = 200
"""Characters of a value that names something; longer ones describe it."""


@dataclass(frozen=True)
class Keyed:
    """The key, the fields that it makes required, and what is doubtful."""

    key: str | Key
    required: frozenset[str]
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    field: Field
    rank: int
    values: list[str]


def choose(fields: Sequence[Field], items: Sequence[Mapping[str, Any]], what: str) -> Keyed:
    """The key of these different items; `what` names where they come from.

    Raises:
        SourceError: no field can be part of a key.
    """
    candidates = sorted(_candidates(fields, items), key=lambda one: (one.rank, len(one.field.path)))
    if not candidates:
        raise SourceError(
            f"{what} has no field that could be a key: one that every item has, and that is text, a whole number, "
            f"a time, a UUID or an address. Its fields: {', '.join(field.name for field in fields[:20]) or 'none'}"
        )
    for key, doubts in _proposals(candidates[:_MOST_CANDIDATES], len(items)):
        names = key if isinstance(key, Key) else Key((key,))
        return Keyed(key, frozenset(names.names), doubts)
    columns = tuple(one.field.name for one in candidates[:3])
    rows = len(set(zip(*(one.values for one in candidates[:3]), strict=True)))
    doubt = (
        f"no fields tell all items apart: by these, {len(items)} different items are {rows} rows, the last one stays"
    )
    return Keyed(columns[0] if len(columns) == 1 else Key(partition=columns), frozenset(columns), (doubt,))


def _proposals(candidates: list[_Candidate], count: int) -> Iterator[tuple[str | Key, tuple[str, ...]]]:
    """Keys by which all items are different, the best first, each with what is doubtful."""
    named = [one for one in candidates if one.rank < _OTHER and not one.field.kind.is_time]
    others = [one for one in candidates if one.rank >= _OTHER and not one.field.kind.is_time]
    times = [one for one in candidates if one.field.kind.is_time]
    for one in named:
        if _tell_apart([one], count):
            absent = sum(value == _NOTHING for value in one.values)
            doubts = [f"absent in {absent} of {count} items, which would be dead letters"] if absent else []
            yield one.field.name, tuple(doubts + _of_few(count))
    for one in [*named, *others]:
        for time in times:
            if len(set(one.values)) < count and _tell_apart([one, time], count):
                key = Key(partition=(one.field.name,), clustering=(Desc(time.field.name),))
                yield key, (f"the rows of one {one.field.name} lie beside each other, the newest first",)
    for one in [*others, *times]:
        if _tell_apart([one], count):
            yield one.field.name, ("unique in the sample; is it always?",)
    for size in (2, 3):
        for some in combinations([*named, *others, *times], size):
            if _tell_apart(some, count):
                yield Key(partition=tuple(one.field.name for one in some)), ("unique together in the sample; always?",)


def _of_few(count: int) -> list[str]:
    return [f"chosen by its name: of {count} items much is unique"] if count < 3 else []


def _candidates(fields: Sequence[Field], items: Sequence[Mapping[str, Any]]) -> list[_Candidate]:
    found = []
    for field in fields:
        values = [_text(value) for value in field.values(items)]
        rank = _rank(field)
        may_lack = rank == 0 and values.count(_NOTHING) <= len(items) * _MOST_ABSENT
        is_long = rank >= _OTHER and max(map(len, values), default=0) > _LONGEST
        if field.kind.may_be_key and not is_long and (may_lack or not field.optional):
            found.append(_Candidate(field, rank, values))
    return found


def _rank(field: Field) -> int:
    depth = len(field.path) > 1 and field.path[0] not in ("properties", "attributes")
    if field.kind.is_identity and not field.optional:
        return 1 if depth else 0
    if field.name in _IDS or field.path[-1].lower() in _IDS | {"_id"}:
        return 2 if depth else 0
    if _BY_NAME.fullmatch(field.name):
        return 3 if depth else 1
    return _OTHER + depth


def _tell_apart(some: Sequence[_Candidate], count: int) -> bool:
    rows = [row for row in zip(*(one.values for one in some), strict=True) if _NOTHING not in row]
    # What lacks its key is no row.
    return len(set(rows)) == len(rows) >= max(1, count - count * _MOST_ABSENT)


def _text(value: Any) -> str:
    return _NOTHING if value is None else f"{type(value).__name__} {value}"
