"""APIs over a list of rows, one for each kind of paging, served by a real HTTP server; and how a test reads them."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx

from penstock.config import SourceSettings
from penstock.network import http
from penstock.simulator import Asked, Reply, Simulator
from penstock.simulator.faults import Faults, no_faults, whole
from penstock.source import Cursor, Interval, Link, NextUrl, Offset, Page, Source
from penstock.source.api import Answer, Api
from penstock.source.pace import Clock
from penstock.source.secrets import Secrets

NOW = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
RUN = Interval(NOW, datetime(2025, 3, 11, tzinfo=UTC), datetime(2025, 3, 12, tzinfo=UTC))
Row = dict[str, Any]


def rows(count: int, first: int = 1) -> list[Row]:
    return [{"id": number, "name": f"row {number}"} for number in range(first, first + count)]


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """A reply in JSON; a header `X_Total` is sent as `X-Total`."""
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    return whole(status, json.dumps(value).encode(), sent)


@dataclass
class Listing:
    """A list that is paged in one way, and what was asked of it."""

    items: list[Row]
    answer: Callable[["Listing", Asked], Reply]
    most: int = 100
    """Items on one page, whatever is asked for."""
    before: Callable[[int], None] = lambda _number: None
    """Called before each answer with the number of the request: the list may change."""
    asked: list[Asked] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        self.before(len(self.asked))
        return self.answer(self, asked)

    def part(self, start: int, size: int) -> list[Row]:
        return self.items[start : start + min(size, self.most)]


def by_page(listing: Listing, asked: Asked) -> Reply:
    size = int(asked.query.get("per_page", 30))
    start = (int(asked.query.get("page", 1)) - 1) * min(size, listing.most)
    return json_reply({"data": listing.part(start, size), "total": len(listing.items)})


def by_offset(listing: Listing, asked: Asked) -> Reply:
    part = listing.part(int(asked.query.get("offset", 0)), int(asked.query.get("limit", 20)))
    return json_reply({"data": part, "total": len(listing.items)})


def by_cursor(listing: Listing, asked: Asked) -> Reply:
    given = json.loads(asked.body or b"{}").get("after") or asked.query.get("cursor", "c0")
    start = int(given[1:])
    part = listing.part(start, 50)
    following = f"c{start + 50}" if start + 50 < len(listing.items) else None
    return json_reply({"data": part, "cursors": {"next": following}, "total": len(listing.items)})


def by_next_url(listing: Listing, asked: Asked) -> Reply:
    start = int(asked.query.get("from", 0))
    following = (
        f"http://{asked.headers['Host']}{asked.path}?from={start + 50}" if start + 50 < len(listing.items) else None
    )
    return json_reply({"data": listing.part(start, 50), "next": following, "total": len(listing.items)})


def by_link(listing: Listing, asked: Asked) -> Reply:
    size, page = int(asked.query.get("per_page", 30)), int(asked.query.get("page", 1))
    start = (page - 1) * size
    more = {"Link": f'<?{urlencode({"per_page": size, "page": page + 1})}>; rel="next"'}
    headers = more if start + size < len(listing.items) else {}
    return json_reply({"data": listing.part(start, size), "total": len(listing.items)}, **headers)


def at_once(listing: Listing, asked: Asked) -> Reply:
    return json_reply({"data": listing.items, "total": len(listing.items)})


KINDS: dict[str, tuple[Callable[[Listing, Asked], Reply], Any]] = {
    "none": (at_once, None),
    "page": (by_page, Page(size_param="per_page", size=100)),
    "offset": (by_offset, Offset(limit=100)),
    "cursor": (by_cursor, Cursor()),
    "next url": (by_next_url, NextUrl()),
    "link": (by_link, Link(size_param="per_page", size=100)),
}
"""Kind of paging -> an API that pages so, and the declaration that reads it."""


class _Shared(httpx.BaseTransport):
    """One transport for all tests, as each reads all authorities that the system trusts."""

    _real = http.transport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._real.handle_request(request)


@dataclass
class Read:
    """How a test reads an API: nobody waits, and what would have been waited for is kept."""

    environment: dict[str, str] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def clock(self) -> Clock:
        return Clock(now=lambda: NOW, monotonic_s=lambda: 0.0, sleep_s=self.waits.append, chance=lambda: 0.5)

    def pages(self, source: Source, interval: Interval = RUN) -> list[Answer]:
        settings = SourceSettings.model_validate({"attempts": 4, **self.settings})
        secrets = Secrets(environment=self.environment.get)
        with Api(source, settings, clock=self.clock(), secrets=secrets, transport=_Shared()) as api:
            return list(api.pages(interval))

    def items(self, source: Source, interval: Interval = RUN) -> list[Any]:
        return [item for page in self.pages(source, interval) for item in page.items]


@contextmanager
def serving(api: Callable[[Asked], Reply], faults: Faults = no_faults) -> Iterator[str]:
    """The API on loopback: its address."""
    with Simulator(api=api, faults=faults) as simulator:
        yield f"http://127.0.0.1:{simulator.port}/items"


def basic_header(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def ids(items: Sequence[Row]) -> list[int]:
    return [item["id"] for item in items]
