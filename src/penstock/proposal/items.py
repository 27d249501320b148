"""Where the items of an answer are: a list, columns beside each other, or one object."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import SourceError
from penstock.source import Columns, One
from penstock.source.places import Items, as_name, came, items_in

_DEEPEST = 4
_USUAL = ("data", "items", "results", "features", "records", "rows", "entries", "values", "hits", "value")
MOST_ITEMS = 1_000
"""Items that are looked at; an answer may hold more."""


@dataclass(frozen=True)
class Found:
    """The items, where they are, and what is doubtful about that."""

    place: Items
    items: list[Any]
    doubts: tuple[str, ...] = ()

    @property
    def sample(self) -> list[Mapping[str, Any]]:
        """Different items, in their order, that are objects: no other can become a row."""
        different = {repr(item): item for item in self.items[:MOST_ITEMS] if isinstance(item, Mapping)}
        return list(different.values())


def find(document: Any, what: str) -> Found:
    """The items of an answer; `what` names it in errors.

    Raises:
        SourceError: there are none, or none that are objects.
    """
    lists = [(path, value) for path, value in _within(document) if isinstance(value, list)]
    full = [(path, value) for path, value in lists if any(isinstance(item, Mapping) for item in value)]
    if full:
        return _of_lists(full, document)
    if (columns := _columns(document)) is not None:
        return Found(Columns(columns), items_in(document, Columns(columns)))
    _refuse_others(document, lists, what)
    return Found(
        One(""),
        [document],
        ("the answer is one object and no list: it is the only item. One that stands within it: One(path)",),
    )


def _of_lists(full: list[tuple[str, list[Any]]], document: Any) -> Found:
    path, items = min(full, key=lambda one: (_depth(one[0]), one[0].rpartition(".")[2] not in _USUAL, -len(one[1])))
    doubts = []
    if isinstance(document, Mapping) and "id" in document:
        doubts.append(f'the answer has an id: is it the item, and {path!r} a part of it? Then items=One("")')
    if others := [f"{other or 'the root'!r} ({len(value)})" for other, value in full if other != path]:
        doubts.append(f"other lists of objects are at {', '.join(others[:5])}")
    if strangers := sum(1 for item in items if not isinstance(item, Mapping)):
        doubts.append(f"{strangers} of {len(items)} items are no objects, and would be dead letters")
    return Found(path, items, tuple(doubts))


def _refuse_others(document: Any, lists: list[tuple[str, list[Any]]], what: str) -> None:
    empty = [path or "the root" for path, value in lists if not value]
    if empty and len(empty) == len(lists) and (isinstance(document, list) or _is_envelope(document, lists)):
        raise SourceError(
            f"{what} has no items: the list at {empty[0]!r} is empty, so nothing can be said of its fields. Ask for "
            "something of which there are some, e.g. another time, or give a file with such an answer: --from FILE"
        )
    rows = [
        path for path, value in lists if _depth(path) == 1 and value and all(isinstance(row, list) for row in value)
    ]
    if rows:
        raise SourceError(
            f"{what} has lists at {rows[0]!r} where objects are needed, whose fields have names. Many APIs give "
            "objects when they are asked for them, e.g. Datasette with _shape=objects"
        )
    if not isinstance(document, Mapping) or not document:
        holds = f", which holds {_kinds(document)}" if isinstance(document, list) else ""
        raise SourceError(f"{what} holds no objects, which is what becomes rows: {came(document)}{holds}")


def _is_envelope(document: Any, lists: list[tuple[str, list[Any]]]) -> bool:
    """Whether an object with an empty list is an answer without items, rather than an item with an empty list."""
    return any(_depth(path) == 1 and path in _USUAL for path, _ in lists) or len(document) == 1


def _kinds(values: list[Any]) -> str:
    return ", ".join(sorted({type(value).__name__ for value in values})) or "nothing"


def _columns(document: Any) -> str | None:
    """Path of an object of lists of one length, of which there are several values in each."""
    for path, value in _within(document):
        if not isinstance(value, Mapping) or len(value) < 2:
            continue
        columns = list(value.values())
        if all(isinstance(column, list) for column in columns) and len({len(column) for column in columns}) == 1:
            flat = not any(isinstance(cell, (list, Mapping)) for column in columns for cell in column[:MOST_ITEMS])
            if len(columns[0]) > 1 and flat:
                return path
    return None


def _within(document: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What stands at a path of nested objects, the outermost first; a name with a backslash has no path."""
    yield path, document
    if isinstance(document, Mapping) and depth < _DEEPEST:
        for name, value in document.items():
            if name and "\\" not in name:
                yield from _within(value, f"{path}.{as_name(name)}" if path else as_name(name), depth + 1)


def scalars(document: Any, place: Items) -> Iterator[tuple[str, Any]]:
    """The values of an answer beside its items, with their paths; no lists."""
    around = place if isinstance(place, str) else place.path
    for path, value in _within(document):
        is_item = around and (path == around or path.startswith(f"{around}."))
        if path and not is_item and not isinstance(value, (list, Mapping)):
            yield path, value


def _depth(path: str) -> int:
    return path.count(".") + 1 if path else 0
