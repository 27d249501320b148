"""Which kind of paging an API has: what its first answer says, held against the few answers that are asked for more."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import httpx

from penstock.errors import SourceError
from penstock.proposal.asking import Answer, Asking
from penstock.proposal.given import Given, Params
from penstock.proposal.items import Found, scalars
from penstock.source import Cursor, Header, Link, NextUrl, Offset, One, Page, Paging
from penstock.source.following import MORE, NEXT, letters
from penstock.source.places import AbsentError, items_in, overlaps
from penstock.source.requests import origin
from penstock.urls import shown

_CURSORS: Mapping[str, tuple[str, ...]] = {
    "nextcursor": ("cursor", "next_cursor", "after"),
    "nextpagetoken": ("pageToken", "page_token"),
    "nexttoken": ("nextToken", "next_token"),
    "continuationtoken": ("continuationToken", "continuation_token"),
    "continuation": ("continuation",),
    "endcursor": ("after", "cursor"),
    "after": ("after",),
    "scrollid": ("scroll_id", "cursor"),
    "cursor": ("cursor",),
    "next": ("cursor", "_next", "after", "next", "page"),
    "nextpage": ("page",),
    "nextoffset": ("offset",),
}
"""Letters of a field's name -> parameters that may take its value."""
_TOTALS = frozenset(
    {"total", "totalcount", "totalitems", "totalresults", "totalrecords", "totalrows", "totalelements", "count"}
    | {"filteredtablerowscount", "numfound", "nummatched", "numbermatched", "recordcount", "resultcount", "itemcount"}
)
_PAGES = frozenset({"pages", "totalpages", "pagecount", "lastpage", "numpages", "pagestotal"})
_PAGE_PARAMS = frozenset({"page", "p", "pagenumber", "pageno", "pageindex", "currentpage"})
_OFFSET_PARAMS = frozenset({"offset", "start", "skip", "startat", "from", "startindex", "pageoffset"})
_LIMIT_PARAMS = frozenset(
    {"limit", "perpage", "pagesize", "size", "count", "top", "take", "maxresults", "rows", "results", "pagelimit"}
)
_STATED_LIMITS = frozenset({"limit", "perpage", "pagesize", "maxresults"})
"""Those of them that are the size of a page in an answer too; a "count" may be anything."""

_STEADY = 3
"""Questions to an API that gives the same page whatever number or offset it is asked for."""


@dataclass(frozen=True)
class Paged:
    """The paging that is proposed, the parameters that are left, where the total is, and what is doubtful."""

    paging: Paging | None
    params: Params
    total: str | Header | None = None
    doubts: tuple[str, ...] = ()


def propose(asking: Asking, given: Given, answer: Answer, found: Found) -> Paged:
    """The paging of an API; asks it for a second page to be sure, where something leads there."""
    stated = dict(scalars(answer.document, found.place))
    total, number = _total(answer, stated, found)
    paged = (
        _linked(asking, given, answer, found)
        or _addressed(asking, given, stated, found)
        or _by_cursor(asking, given, stated, found)
        or _counted(asking, given, stated, found, number)
    )
    is_list = not isinstance(found.place, One)  # an item may have a field of such a name itself
    if is_list and paged.paging is None and (more := _flag(stated)) and stated[more]:
        lacks = f"{more} is true, and nothing that was asked led to more items: declare what asks for them"
        paged = replace(paged, paging=Page(has_more_path=more), doubts=(*paged.doubts, _until_then(lacks)))
    elif number is not None and paged.paging is None and number > len(found.items):
        lacks = f"the answer states {number} items and holds {len(found.items)}: declare how the others are asked for"
        paged = replace(paged, doubts=(*paged.doubts, _until_then(lacks)))
    elif isinstance(total, str) and _is_bound(total):
        total = None
    return replace(paged, total=total)


def _until_then(lacks: str) -> str:
    return f"{lacks}; until then a run fails rather than miss them"


def _is_bound(path: str) -> bool:
    """Whether the number may be the largest one that the API counts to, as Elasticsearch's: no list ends there.

    https://www.elastic.co/docs/reference/elasticsearch/rest-apis/search-your-data#track-total-hits
    """
    return path.endswith("total.value")


def _last(path: str) -> str:
    """The letters of a path's last name; of `next.href` and `total.value` those of the name before."""
    *around, name = path.split(".")
    return letters(around[-1] if around and name in ("href", "url", "value") else name)


def _total(answer: Answer, stated: Mapping[str, Any], found: Found) -> tuple[str | Header | None, int | None]:
    """Where the number of all items is, and what it is."""
    for name, value in answer.headers.items():
        if letters(name) in ("xtotalcount", "xtotal", "totalcount") and value.isdecimal():
            return Header("-".join(part.capitalize() for part in name.split("-"))), int(value)
    for path, value in stated.items():
        if _last(path) in _TOTALS and isinstance(value, int) and not isinstance(value, bool):
            # A "count" may be that of the page.
            is_sure = value > len(found.items) or (_last(path).startswith("total") and value == len(found.items))
            if is_sure:
                return path, value
    return None, None


def _linked(asking: Asking, given: Given, answer: Answer, found: Found) -> Paged | None:
    if not set(answer.links) & {"next", "prev", "first", "last"}:
        return None
    url = answer.links.get("next", "")
    return Paged(Link(), given.params, doubts=_followed(asking, given, url, found, "the header Link"))


def _addressed(asking: Asking, given: Given, stated: Mapping[str, Any], found: Found) -> Paged | None:
    for path, value in stated.items():
        if _last(path) in NEXT and isinstance(value, str) and re.match(r"https?://|[/?]", value):
            return Paged(NextUrl(next_url_path=path), given.params, doubts=_followed(asking, given, value, found, path))
    return None


def _followed(asking: Asking, given: Given, url: str, found: Found, where: str) -> tuple[str, ...]:
    """What is doubtful about the next address; it is asked for if it is the API's own."""
    if not url:
        return (f"{where} names no next page here, so that its address was not followed",)
    here = httpx.URL(given.url)
    try:
        there = here.join(url)
    except httpx.InvalidURL:
        return (f"what {where} names as the next page is no address",)
    if given.file is None and origin(here) != origin(there):
        place = shown(origin(there))
        return (f'{where} leads to {place}, which is not asked unless you allow it: origins=("{place}",)',)
    follows = _items(asking.more(url=url), found)
    if follows is None:
        return (f"the next page that {where} names was not read; whether it can be is not sure",)
    if follows == found.items:
        return (f"the next page that {where} names holds the same items as the first",)
    return ()


def _by_cursor(asking: Asking, given: Given, stated: Mapping[str, Any], found: Found) -> Paged | None:
    more = _flag(stated)
    for path, value in stated.items():
        params = _CURSORS.get(_last(path), ())
        if not params or isinstance(value, (bool, float)):
            continue
        if value in (None, ""):
            if _last(path) in ("next", "nextcursor", "nextpagetoken", "nexturl", "nextlink"):
                return _at_its_end(given, path, params[0])
            continue
        used = [name for name in given.params if name in params]
        for param in dict.fromkeys([*used, *params]):
            follows = _items(asking.more({param: value}), found)
            if follows and follows != found.items:
                paging = Cursor(cursor_path=path, cursor_param=param, has_more_path=more)
                return Paged(paging, _without(given.params, param))
        if _last(path) == "cursor":  # it may be the one of this page
            continue
        unsure = f"which parameter takes the value of {path!r} was not found, {params[0]!r} is a guess"
        paging = Cursor(cursor_path=path, cursor_param=params[0], has_more_path=more)
        return Paged(paging, given.params, doubts=(unsure,))
    return None


def _at_its_end(given: Given, path: str, param: str) -> Paged:
    doubt = f"{path!r} is null in the only answer that was seen: "
    if _last(path) in NEXT:
        doubt += f"is it an address? If it is a cursor: Cursor(cursor_path={path!r}, cursor_param=…)"
        return Paged(NextUrl(next_url_path=path), given.params, doubts=(doubt,))
    paging = Cursor(cursor_path=path, cursor_param=param)
    return Paged(paging, given.params, doubts=(doubt + f"that the parameter {param!r} takes it is a guess",))


def _counted(asking: Asking, given: Given, stated: Mapping[str, Any], found: Found, total: int | None) -> Paged:
    """Pages or offsets, where the API gives others when it is asked for others; else one answer for everything."""
    if isinstance(found.place, One) and total is None:
        return Paged(None, given.params)
    page, offset = _param(given, stated, _PAGE_PARAMS), _param(given, stated, _OFFSET_PARAMS)
    kinds = [_by_page, _by_offset] if page or not offset else [_by_offset, _by_page]
    for kind in kinds:
        paged = kind(asking, given, stated, found)
        if paged:
            return paged
    if given.file is not None:
        return Paged(None, given.params, doubts=("of a file nobody can tell whether the API has pages",))
    again = _items(asking.more(), found) if len(asking.asked) > _STEADY else None
    if again and not overlaps(again, found.items):
        unsteady = "the same question brings other items each time: an API that makes them up? See Generated"
        return Paged(None, given.params, doubts=(unsteady,))
    if page or offset:
        named = " and ".join(name for name in (page, offset) if name)
        return Paged(None, given.params, doubts=(f"{named} did not lead to other items: is there only this page?",))
    return Paged(None, given.params, doubts=("nothing led to a second page: one answer is taken for everything",))


def _by_page(asking: Asking, given: Given, stated: Mapping[str, Any], found: Found) -> Paged | None:
    param = _param(given, stated, _PAGE_PARAMS) or "page"
    here = _number(given, stated, param, _PAGE_PARAMS)
    following = _items(asking.more({param: 2 if here is None else here + 1}), found)
    if following is None or overlaps(following, found.items):
        return None
    numbers = (1, 0) if here is None else (here,)
    first = next((number for number in numbers if _is_first(asking, found, {param: number})), None)
    if first is None:
        return None
    base = first if here is None else min(here, 1)
    if here == 1 and (before := _items(asking.more({param: 0}), found)) and not overlaps(before, found.items):
        base = 0
    pages = next((path for path, value in stated.items() if _last(path) in _PAGES and type(value) is int), "")
    paging = Page(page_param=param, base_page=base, pages_path=pages, has_more_path="" if pages else _flag(stated))
    return Paged(paging, _without(given.params, param))


def _is_first(asking: Asking, found: Found, params: Mapping[str, str | int]) -> bool:
    """Whether these parameters bring the items that the first answer had, but for what changed meanwhile. One that
    makes up its items, or takes an unknown parameter for a filter, gives others.
    """
    again = _items(asking.more(params), found)
    return again is not None and len(again) > 0 and overlaps(again, found.items)


def _by_offset(asking: Asking, given: Given, stated: Mapping[str, Any], found: Found) -> Paged | None:
    param = _param(given, stated, _OFFSET_PARAMS) or "offset"
    limits = {path: value for path, value in stated.items() if letters(path.rpartition(".")[2]) in _STATED_LIMITS}
    limit_param = _param(given, limits, _LIMIT_PARAMS) or "limit"
    limit = _number(given, limits, limit_param, _LIMIT_PARAMS) or len(found.items)
    here = _number(given, stated, param, _OFFSET_PARAMS) or 0
    following = _items(asking.more({param: here + len(found.items)}), found)
    if following is None or overlaps(following, found.items):
        return None
    if not _is_first(asking, found, {param: here}):
        return None
    paging = Offset(offset_param=param, limit_param=limit_param, limit=limit, has_more_path=_flag(stated))
    return Paged(paging, _without(given.params, param, limit_param))


def _items(answer: Answer | None, found: Found) -> list[Any] | None:
    try:
        return None if answer is None else items_in(answer.document, found.place)
    except (AbsentError, SourceError):
        return None


def _param(given: Given, stated: Mapping[str, Any], known: frozenset[str]) -> str:
    """The parameter of this kind that the address has, else a field of the answer that has the name of one."""
    for name, value in given.params.items():
        if letters(name) in known and isinstance(value, str) and value.isdecimal():
            return name
    for path, value in stated.items():
        if letters(path.rpartition(".")[2]) in known and type(value) is int:
            name = path.rpartition(".")[2]
            return "page" if letters(name) == "currentpage" else name
    return ""


def _number(given: Given, stated: Mapping[str, Any], param: str, known: frozenset[str]) -> int | None:
    value = given.params.get(param, "")
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    numbers = (value for path, value in stated.items() if letters(path.rpartition(".")[2]) in known)
    return next((number for number in numbers if type(number) is int), None)


def _flag(stated: Mapping[str, Any]) -> str:
    return next((path for path, value in stated.items() if _last(path) in MORE and isinstance(value, bool)), "")


def _without(params: Params, *names: str) -> Params:
    return {name: value for name, value in params.items() if name not in names}
