"""Takes the values of a record out of an item of the API's answer, by the paths of the declaration."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

from penstock.pipelines.contract import Column, From, Record, columns_of
from penstock.pipelines.keys import Key
from penstock.pipelines.templates import Template


class PartsMissingError(Exception):
    """Some parts of a template are present and others are absent."""


# Records are many: what a declaration says of each column is looked up once.
@cache
def takers(record: type[Record], key: Key) -> tuple[tuple[Column, str, Callable[[Any], Any], bool], ...]:
    """For each column: itself, its name, the function that takes its value out of an item, and whether the API's value
    may have another form than the message's.
    """
    return tuple(
        (column, column.name, _taker(column.origin.path), bool(column.kind.from_item or column.origin.form))
        for column in columns_of(record, key)
    )


@cache
def _taker(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """A function that takes a field's value out of an item, see `From`. Cached, because records are many."""
    template = From(path).template
    if template is None:
        return partial(value_at, tuple(path.split(".")))
    return partial(_written, path, template, tuple(tuple(part.split(".")) for part in template.paths))


def _written(written: str, template: Template, places: Iterable[Iterable[str]], item: Mapping[str, Any]) -> Any:
    parts = [value_at(names, item) for names in places]
    if None in parts:
        absent = [path for path, part in zip(template.paths, parts, strict=True) if part is None]
        if len(absent) == len(parts):
            return None
        raise PartsMissingError(f"{', '.join(absent)} absent, while other parts of {written!r} are there")
    for part in parts:
        if type(part) not in (str, int):  # a bool is an int for `isinstance`
            return part
    return template.form.format(*parts)


def value_at(names: Iterable[str], item: Any) -> Any:
    """The value at a path of names in an item, a number being the place in a list; None where there is none."""
    try:
        for name in names:
            item = item[
                name if type(item) is dict else int(name) if isinstance(item, list) and name.isdecimal() else name
            ]
    except (KeyError, IndexError, TypeError):  # not there, or not in an object
        return None
    return item
