"""Finds out whether an answer names a page after it, by the names that APIs use for that.

A declaration has paths of its own. This is asked where it has none, or where they led nowhere: a list that ends with
its first page although the answer names another one is not whole.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

NEXT = frozenset({"next", "nexturl", "nextlink", "nextpage", "nextpageurl", "nextpageuri", "nexthref", "nextpagelink"})
MORE = frozenset({"hasmore", "hasnext", "hasnextpage", "more", "moreavailable", "nextpageavailable"})
_CURSORS = frozenset({"nextcursor", "nextpagetoken", "nexttoken", "nextoffset"})
_DEPTH = 2
"""Objects within objects: `data.paging.next` is looked at, what is deeper belongs to the items."""


def letters(name: str) -> str:
    """A name without all that differs from API to API: `Next-Page_URL` is `nextpageurl`."""
    return re.sub("[^a-z0-9]", "", name.lower())


def following_page(document: Any, links: Mapping[str, str]) -> str:
    """Where the answer names another page, or says that there is one; empty where it does neither."""
    if "next" in links:
        return "the header Link"
    return next(_named(document, _DEPTH), "")


def _named(document: Any, depth: int) -> Iterator[str]:
    for name, value in document.items() if isinstance(document, Mapping) else ():
        key = letters(str(name).rpartition(".")[2])  # `@odata.nextLink`
        if isinstance(value, Mapping):
            if key in NEXT and any(isinstance(value.get(each), str) and value[each] for each in ("href", "url")):
                yield name
            elif depth:
                yield from (f"{name}.{inner}" for inner in _named(value, depth - 1))
        elif (key in MORE and value is True) or (key in NEXT | _CURSORS and _leads_on(value)):
            yield name


def _leads_on(value: Any) -> bool:
    """Whether it is a text that is not empty, or a number that is not 0; true and false are neither."""
    return bool(value) and isinstance(value, (str, int)) and not isinstance(value, bool)
