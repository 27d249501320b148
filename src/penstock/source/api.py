"""The pages of a run, each asked for until it is the answer to the question that was asked, and all of them.

Promises: the same interval asks the same questions again; a page is yielded only when its body is whole, is JSON, holds
a list of items where it was declared, and is none that came before. The last page is yielded before the end is judged:
fewer items than the API states are an error all the same. Three pages are in memory at most. What it does not promise:
that two pages never hold the same item, where rows move under an offset or pages are made up (`decisions/030`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self, get_args

import httpx
from pydantic_core import to_json

from penstock.config import SourceSettings
from penstock.errors import SourceAnswerError
from penstock.source.auth import OAuth2ClientCredentials
from penstock.source.client import Client, Reply, StatusError, UnauthorizedError, UnusableError
from penstock.source.declaration import Source
from penstock.source.distinct import Distinct
from penstock.source.following import following_page
from penstock.source.interval import Interval
from penstock.source.pace import Clock, Pace
from penstock.source.paging import Ask, EndStatus, Offset, Page, Seen, WrongAnswerError, may_end_unnoticed
from penstock.source.places import AbsentError, Header, One, at, came, items_in, whole_number
from penstock.source.requests import Request, Requests
from penstock.source.secrets import Secrets
from penstock.source.token import Token, no_token
from penstock.urls import ShownUrl, shown

USERS_API = "https://randomuser.me/api/"
"""What the simulator stands for."""


@dataclass(frozen=True)
class Answer:
    """One page: `items` as parsed, in the API's order; `received_at` is aware and is when it was whole."""

    url: ShownUrl
    number: int
    items: list[Any]
    received_at: datetime
    body_bytes: int
    """Size of the decoded body."""
    following: Ask | None = None
    """What is asked next; None at the end."""
    total: int | None = None
    """Items of the whole list, if the API states it where the source says."""


def address(name: str, source: Source, settings: SourceSettings) -> str:
    """The address of the source of the pipeline with this name: by its setting, else as declared.

    The simulator stands for one API only: that of the pipeline `users`, as long as it declares that one's address.
    """
    simulated = settings.simulator if (name, source.url) == ("users", USERS_API) else ""
    return settings.urls.get(name) or simulated or source.url


def asked_once(settings: SourceSettings, patience_s: float) -> SourceSettings:
    """The same settings for a command that a person waits for: one attempt, and the API may be silent for this long."""
    waits = {"attempts": 1, "connect_timeout_s": patience_s, "read_timeout_s": patience_s}
    return settings.model_copy(update=waits)


class Api:
    """The API of one pipeline; one connection pool. Not for use by several threads at once.

    `address` stands in place of the declared one if it is not empty.
    """

    def __init__(
        self,
        source: Source,
        settings: SourceSettings,
        *,
        address: str = "",
        secrets: Secrets | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._settings = settings
        self._address = address
        self._clock = clock or Clock()
        self._secrets = secrets or Secrets.of(settings)
        self._client = Client(settings, Pace(source.rate, self._clock), transport, self._clock)
        oauth = source.auth if isinstance(source.auth, OAuth2ClientCredentials) else None
        self._token = Token(oauth, self._client, self._secrets, self._clock) if oauth else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def pages(self, interval: Interval, records: int | None = None) -> Iterator[Answer]:
        """All pages of a run, one after the other; `records` for a source of which a number is asked for.

        Raises:
            SourceUnavailableError: no usable answer within the budget of attempts, which is per page.
            SourceAnswerError: an answer, but of the wrong kind; or the same page, or one that was asked for before; or
                fewer items than the API states, or more pages than the settings allow.
            ConfigError: no number of records that can be asked for, no such secret, no interval where one is needed.
        """
        records = self._source.asked(records)
        requests = self._requests(interval)
        ask: Ask | None = self._source.pages.first(interval.seed, records)
        with Distinct() as distinct:
            walk = _Walk(self._source, distinct, self._settings.max_pages)
            while ask is not None:
                request = requests.of(ask)
                walk.asks(request)
                reply, seen, following = self._page(requests, request, ask, walk)
                walk.took(request, seen)
                if following is None:
                    walk.is_last(request, seen)
                size = reply.body_bytes
                yield Answer(request.shown, walk.pages, seen.items, reply.received_at, size, following, walk.total)
                ask = following
            walk.ends(requests.address)

    def reply(self, interval: Interval, ask: Ask) -> Reply:
        """The whole answer to one request, whatever it holds.

        Raises:
            SourceUnavailableError: no usable answer within the budget of attempts; caused by a `NotJsonError` where one
                came that is not JSON.
            SourceAnswerError: an answer, but none that asking again would change.
            ConfigError: the request cannot be made.
        """
        requests = self._requests(interval)
        request = requests.of(ask)
        return self._client.until_usable(lambda: self._sent(requests.signed(request)))

    def question(self, interval: Interval, ask: Ask) -> ShownUrl:
        """The address of a request, as it may be shown; nothing is sent."""
        return shown(ask.url) if ask.url else self._requests(interval).of(ask).shown

    def look(self, interval: Interval) -> httpx.Response:
        """The head of the answer to the first request, whatever it is.

        Raises:
            httpx.HTTPError: nobody answers.
            ConfigError, SourceError: the request cannot be made.
        """
        records = 1 if self._source.most_records else None
        requests = self._requests(interval)
        return self._client.look(requests.signed(requests.of(self._source.pages.first(interval.seed, records))))

    def check(self, interval: Interval) -> None:
        """Returns where the first request could be sent; nothing is sent.

        Raises:
            ConfigError: the address is none, a secret is not there, or the run lacks the interval that is asked for.
        """
        if auth := self._source.auth:
            self._secrets.read(auth.secret)
        self._requests(interval)

    def _requests(self, interval: Interval) -> Requests:
        token = self._token.read if self._token else no_token
        return Requests(self._source, interval, self._address, self._secrets, token)

    def _sent(self, request: Request, empty: frozenset[int] = frozenset()) -> Reply:
        try:
            reply = self._client.send(request, ndjson=self._source.ndjson, empty=empty)
        except UnauthorizedError as error:
            if self._token and self._token.drop():
                raise UnusableError(request.shown, "401: the token was taken before, and is asked for anew") from error
            raise
        if self._token:
            self._token.taken()
        return reply

    def _page(self, requests: Requests, request: Request, ask: Ask, walk: "_Walk") -> tuple[Reply, Seen, Ask | None]:
        # An API of which a number of items is asked for has no list that could be empty.
        empty = frozenset({HTTPStatus.NO_CONTENT, ask.end_status} if self._source.most_records is None else ())

        def attempt() -> tuple[Reply, Seen, Ask | None]:
            try:
                reply = self._sent(requests.signed(request), empty)
            except StatusError as error:
                raise walk.hinted(error) from error
            try:
                seen = walk.seen(ask, reply)
                return reply, seen, walk.following(seen, reply)
            except (AbsentError, WrongAnswerError) as error:
                raise UnusableError(request.shown, str(error), wrong=True) from error

        return self._client.until_usable(attempt)


class _Walk:
    """Remembers the pages of one run, as hashes, and refuses requests and pages that came before."""

    def __init__(self, source: Source, distinct: Distinct, most_pages: int) -> None:
        self._source = source
        self._most_pages = most_pages
        self._distinct = distinct
        self._asked: dict[int, int] = {}
        self._came: dict[int, int] = {}
        self._items = 0
        self.total: int | None = None
        """The first one stated: what comes to the list meanwhile is another run's."""
        self.pages = 0

    def asks(self, request: Request) -> None:
        """Refuses a request that was sent before, and one more than the most pages: it would go on so for ever."""
        if self.pages == self._most_pages:
            raise SourceAnswerError(
                request.shown,
                f"{self.pages} pages came and the list does not end. Does the API know these parameters? If it has so "
                "many, raise source.max_pages",
            )
        number, again = self.pages + 1, hash(to_json([str(request.url), request.json]))
        before = self._asked.setdefault(again, number)
        if before != number:
            raise SourceAnswerError(
                request.shown,
                f"page {number - 1} leads to page {before} again: its cursor or next address was there before",
            )

    def seen(self, ask: Ask, reply: Reply) -> Seen:
        """The answer as its paging sees it; nothing of it is remembered yet, as it may be one to another question."""
        if reply.is_empty:
            return Seen(ask, None, [], reply.links, self.total, self._items)
        items, stated = items_in(reply.document, self._source.items), self._stated(reply)
        # One that shrinks means that rows went, and others may have moved under an offset: that is no end.
        total = None if stated is None else max(stated, self.total or 0)
        new = len(items) if total is None else self._distinct.new_in(map(_hash, items))
        so_far = self._items + new
        return Seen(ask, reply.document, items, reply.links, total, so_far)

    def following(self, seen: Seen, reply: Reply) -> Ask | None:
        """The next request; None at the end, and after a first answer that is empty."""
        return None if reply.is_empty and not self.pages else self._source.pages.next(seen)

    def hinted(self, error: StatusError) -> StatusError:
        """The error; after a first page it also says what to declare, if this status is how the API ends a list."""
        paging = self._source.paging
        if not self.pages or error.status not in get_args(EndStatus) or not isinstance(paging, (Page, Offset)):
            return error
        kind = type(paging).__name__
        how = f"If this is how the API ends a list, declare {kind}(…, end_status={error.status})"
        return StatusError(error.url, f"{error.problem} {self.pages} pages came before. {how}", error.status)

    def took(self, request: Request, seen: Seen) -> None:
        """Remembers a page; one that holds the same items as an earlier one is none."""
        self.pages += 1
        self._items = seen.items_so_far
        self.total = seen.total if self.total is None else self.total
        if seen.total is not None:
            self._distinct.add(map(_hash, seen.items))
        if not seen.items or seen.ask.may_repeat:
            return
        before = self._came.setdefault(_hash(seen.items), self.pages)
        if before != self.pages:
            raise SourceAnswerError(
                request.shown,
                f"page {self.pages} holds the same {len(seen.items)} items as page {before}. Does the API know these "
                "parameters? One that repeats its last page needs a declared end: Source.total, or pages_path",
            )

    def is_last(self, request: Request, seen: Seen) -> None:
        """Refuses an end with the first page where the answer names another one: its items would be missing."""
        source = self._source
        if self.pages > 1 or seen.total is not None or not may_end_unnoticed(source.paging):
            return
        # Where the answer itself is the item, its fields are the item's own.
        if place := following_page(None if isinstance(source.items, One) else seen.document, seen.links):
            raise SourceAnswerError(
                request.shown,
                f"with {len(seen.items)} items and the name of another page in {place}, which the declared paging "
                f"({source.paging}) does not follow. Declare it so that it does, as penstock new proposes; if this "
                "page is all that is wanted: paging=FirstPage()",
            )

    def ends(self, url: ShownUrl) -> None:
        """Refuses an end before the total that the API states."""
        if self.total is not None and self._items < self.total:
            raise SourceAnswerError(
                url,
                f"it states a total of {self.total} items, and {self._items} different ones came on {self.pages} pages"
                ". Were rows moved meanwhile? The next attempt asks for all again",
            )

    def _stated(self, reply: Reply) -> int | None:
        where = self._source.total
        if where is None:
            return None
        if isinstance(where, Header):
            if where.name not in reply.headers:
                names = ", ".join(sorted(reply.headers.keys()))
                raise AbsentError(f"the header {where.name} (total) is not there: the answer's headers are {names}")
            return whole_number(reply.headers[where.name], f"the header {where.name} (total)")
        try:
            return whole_number(at(reply.document, where), f"{where} (total)")
        except AbsentError as error:
            raise AbsentError(f"{error}: {came(reply.document)}") from error


def _hash(value: Any) -> int:
    try:
        return hash(to_json(value))
    except ValueError:  # a lone surrogate, which no UTF-8 holds
        return hash(repr(value))
