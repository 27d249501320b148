"""The fields of a record: every place in the items of a sample, its name, its type and whether it may be absent."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.pipelines.contract import From
from penstock.pipelines.taking import value_at
from penstock.pipelines.types import JsonText
from penstock.proposal.names import column_name
from penstock.proposal.values import ANYTHING, Kind, can_be_template, kind_of

MOST_FIELDS = 120
_MOST_NAMES = 60
"""Names within one object; what has more is a map, or nothing that one would want in columns."""
_DEEPEST = 3
_COORDINATES = ("longitude", "latitude", "altitude")


@dataclass(frozen=True)
class Place:
    """One place in the items: the values that stand there, and in how many items there is none, or null."""

    path: tuple[str, ...]
    values: list[Any]
    absent: int
    as_one: bool = False
    """Whether it is an object that is kept as one value."""
    named: tuple[str, ...] = ()
    """What its column is named after, where that is not the path."""


@dataclass(frozen=True)
class Field:
    """One field of the proposed record."""

    name: str
    path: tuple[str, ...]
    kind: Kind
    optional: bool
    doubt: str = ""

    @property
    def origin(self) -> From:
        path = ".".join(self.path)
        return From(f"{{{path}}}" if self.kind.as_template else path, form=self.kind.form)

    def values(self, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The field's value in each of the items; None where there is none."""
        return [value_at(self.path, item) for item in items]


@dataclass(frozen=True)
class Fields:
    """All fields, in the order of the API, and what was left out."""

    fields: list[Field]
    doubts: tuple[str, ...] = ()


def fields_of(items: Sequence[Mapping[str, Any]]) -> Fields:
    """The fields of these items."""
    doubts: list[str] = []
    places = list(_places((), list(items), len(items), doubts))
    if len(places) > MOST_FIELDS:
        doubts.append(
            f"{len(places) - MOST_FIELDS} more fields were left out, the first is {_said(places[MOST_FIELDS])}"
        )
    found: list[Field] = []
    for place in places[:MOST_FIELDS]:
        found.append(_field(place, {field.name for field in found}, len(items)))
    return Fields(found, tuple(doubts))


def _field(place: Place, used: set[str], count: int) -> Field:
    name = column_name(place.named or place.path, used)
    kind = ANYTHING if place.as_one else kind_of(name, place.values)
    if kind.as_template and not can_be_template(".".join(place.path)):
        kind = replace(kind, python=JsonText, as_template=False)
    doubt = kind.doubt
    if count == 1 and not place.absent and not doubt and not used:
        doubt = "there was one item only: which fields may be absent?"
    return Field(name, place.path, kind, bool(place.absent), doubt)


def _places(path: tuple[str, ...], objects: list[Any], count: int, doubts: list[str]) -> Iterator[Place]:
    """The places within objects that stand at a path."""
    for name in dict.fromkeys(name for one in objects for name in one):
        found = [one[name] for one in objects if name in one and one[name] is not None]
        place = Place((*path, name), found, count - len(found))
        if not _has_path(name):
            doubts.append(f"{name!r} was left out: no path leads to a name that is empty or has a dot or braces")
        elif found and all(isinstance(value, dict) for value in found):
            yield from _within(place, count, doubts)
        else:
            yield place


def _within(place: Place, count: int, doubts: list[str]) -> Iterator[Place]:
    """An object's own places, where it is one with fields; else the object as a whole."""
    if (point := _point(place)) is not None:
        for number in range(len(point)):
            values = [value["coordinates"][number] for value in place.values if number < len(value["coordinates"])]
            around = () if place.path == ("geometry",) else place.path
            named = (*around, _COORDINATES[number])
            yield Place((*place.path, "coordinates", str(number)), values, count - len(values), named=named)
        return
    names = {name for value in place.values for name in value}
    widest = max(map(len, place.values))
    is_map = len(names) > max(8, 2 * widest)
    plain = all(map(_has_path, names))
    if is_map or not plain or not names or len(names) > _MOST_NAMES or len(place.path) >= _DEEPEST:
        # Of a map whose values are all text the type is a map too.
        texts = all(isinstance(part, str) for value in place.values for part in value.values())
        yield replace(place, as_one=not (is_map and texts))
        return
    yield from _places(place.path, place.values, count, doubts)


def _point(place: Place) -> list[Any] | None:
    """The longest coordinates, where all of them are points of GeoJSON."""
    points: list[list[Any]] = []
    for value in place.values:
        coordinates = value.get("coordinates")
        is_list = isinstance(coordinates, list) and 2 <= len(coordinates) <= len(_COORDINATES)
        if value.get("type") != "Point" or not is_list or set(value) - {"type", "coordinates", "bbox"}:
            return None
        points.append(coordinates)
    return max(points, key=len)


def _has_path(name: str) -> bool:
    return bool(name) and not set(name) & set(".{}")


def _said(place: Place) -> str:
    return repr(".".join(place.path))
