"""The first items of a run, judged without a server: asked of the API, made records or rejected, and not published."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from penstock.config import Settings
from penstock.errors import SourceError
from penstock.network import http
from penstock.pipelines.contract import Pipeline, Record
from penstock.pipelines.record import Rejected, from_api
from penstock.simulator import Simulator
from penstock.source import Ask, Interval, Offset, Page, Source
from penstock.source.api import Answer, Api, address, asked_once
from penstock.source.paging import Place
from penstock.source.places import AbsentError, items_in, overlaps
from penstock.urls import ShownUrl, shown

PATIENCE_S = 5.0
"""How long the API may be silent: somebody waits and looks."""


@dataclass(frozen=True)
class Seen:
    """One item of the API: which question brought it, as the API gave it, and what it is to the declaration."""

    url: ShownUrl
    index: int
    """In the list of that answer, from 0."""
    item: Any
    judged: Record | Rejected


@dataclass
class Look:
    """The answers to the first requests of a run."""

    asked: dict[ShownUrl, int] = field(default_factory=dict)
    """Question -> items of its answer, all of them."""
    seen: list[Seen] = field(default_factory=list)
    following: ShownUrl | None = None
    """The question that a run would ask next; None where there is none."""
    doubts: list[str] = field(default_factory=list)
    """What the API has and the declared paging would leave out, as nothing in its answers says so."""


def first_items(settings: Settings, pipeline: Pipeline, interval: Interval, count: int) -> Look:
    """The first `count` items of a run, or all where the API has fewer. Asks each question once, and publishes nothing.
    Asks besides for a page before the declared first one, and for one behind the total, where no answer would tell.

    Raises:
        ConfigError: the API cannot be asked so.
        SourceError: it gave no usable answer.
    """
    source = pipeline.source
    with (
        _answering(settings, address(pipeline.name, source, settings.source)) as place,
        Api(
            source,
            asked_once(settings.source, PATIENCE_S),
            address=place,
            transport=http.transport(settings.own_hosts()),
        ) as api,
    ):
        pages = api.pages(interval, None if source.most_records is None else count)
        look = Look()
        for page in pages:
            if not look.asked:
                look.doubts = list(_left_out(source, page, lambda ask: _items(api, source, interval, ask)))
            look.asked[page.url] = len(page.items)
            left = islice(enumerate(page.items), count - len(look.seen))
            look.seen += [Seen(page.url, index, item, from_api(pipeline, item)) for index, item in left]
            if len(look.seen) == count:
                look.following = api.question(interval, page.following) if page.following else None
                break
        return look


def _left_out(source: Source, first: Answer, items_of: Callable[[Ask], list[Any]]) -> Iterator[str]:
    paging, items = source.paging, first.items
    if not isinstance(paging, (Page, Offset)) or not items:
        return
    ask = paging.first("", None)
    if isinstance(paging, Page) and paging.base_page > 0:
        number = paging.base_page - 1
        before = items_of(replace(ask, params={**ask.params, paging.page_param: number}))
        if before and not overlaps(before, items):
            yield f"page {number} holds other items than page {paging.base_page}: declare Page(base_page={number})"
    if first.total and (places := _around_the_end(paging, first.total, len(items))):
        last, behind = (Ask({**ask.params, place: value}) for place, value in places)
        more = items_of(behind)
        if more and not overlaps(more, items) and not overlaps(more, items_of(last)):
            yield (
                f"the total ({source.total}) is {first.total}, and behind so many the API has more items, which a run "
                "would leave out: does it count one page, or a part? Declare no total then"
            )


def _around_the_end(paging: Page | Offset, total: int, size: int) -> tuple[tuple[Place, int], ...]:
    """Where the last page of a list of so many items is, and the one behind it; nothing where the answers tell."""
    if paging.has_more_path or (isinstance(paging, Page) and paging.pages_path):
        return ()
    pages = -(-total // size)
    if isinstance(paging, Page):
        return tuple((paging.page_param, paging.base_page + number) for number in (pages - 1, pages))
    return tuple((paging.offset_param, paging.offset + number) for number in ((pages - 1) * size, total))


def _items(api: Api, source: Source, interval: Interval, ask: Ask) -> list[Any]:
    """What an answer holds; nothing where the API does not know the question."""
    try:
        return items_in(api.reply(interval, ask).document, source.items)
    except (SourceError, AbsentError):
        return []


def check(settings: Settings, pipeline: Pipeline, interval: Interval) -> ShownUrl:
    """The address that would be asked, where everything is there to ask it; nothing is sent.

    Raises:
        ConfigError: the address is none, a secret is not there, or the run lacks the interval that is asked for.
    """
    place = address(pipeline.name, pipeline.source, settings.source)
    with Api(pipeline.source, settings.source, address=place) as api:
        api.check(interval)
    return shown(place)


@contextmanager
def _answering(settings: Settings, place: str) -> Iterator[str]:
    """The address, or that of a simulator of our own where it is the simulator's, which need not run."""
    if place != settings.source.simulator:
        yield place
        return
    with Simulator() as simulator:
        yield simulator.url
