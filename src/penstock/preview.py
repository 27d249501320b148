"""What a run would bring, without a server: the first questions to the API, and what becomes of the first items."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from penstock.config import Settings
from penstock.network import http
from penstock.pipelines.contract import Pipeline, Record
from penstock.pipelines.record import Rejected, from_api
from penstock.simulator import Simulator
from penstock.source import Interval
from penstock.source.api import Api, address
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
    """What the first questions of a run brought."""

    asked: dict[ShownUrl, int] = field(default_factory=dict)
    """Question -> items of its answer, all of them."""
    seen: list[Seen] = field(default_factory=list)
    following: ShownUrl | None = None
    """The question that a run would ask next; None where there is none."""


def first_items(settings: Settings, pipeline: Pipeline, interval: Interval, count: int) -> Look:
    """The first `count` items of a run, or all where the API has fewer. Asks each question once, and publishes nothing.

    Raises:
        ConfigError: the API cannot be asked so.
        SourceError: it gave no usable answer.
    """
    source = pipeline.source
    waits = {"attempts": 1, "connect_timeout_s": PATIENCE_S, "read_timeout_s": PATIENCE_S}
    with (
        _answering(settings, address(pipeline.name, source, settings.source)) as place,
        Api(
            source,
            settings.source.model_copy(update=waits),
            address=place,
            transport=http.transport(settings.own_hosts()),
        ) as api,
    ):
        pages = api.pages(interval, None if source.most_records is None else count)
        look = Look()
        for page in pages:
            look.asked[page.url] = len(page.items)
            left = islice(enumerate(page.items), count - len(look.seen))
            look.seen += [Seen(page.url, index, item, from_api(pipeline, item)) for index, item in left]
            if len(look.seen) == count:
                look.following = api.question(interval, page.following) if page.following else None
                break
        return look


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
