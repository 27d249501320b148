"""The API over HTTP: the pages of a run, each asked for until it is the answer to the question that was asked.

Promises: the same seed and number of records ask the same questions again; a page is yielded only when its body is
whole, is JSON, echoes what was asked and holds exactly as many items as were asked for. Three pages are in memory at
most. What it does not promise: that two pages never hold the same item (see `decisions/030`).
"""

import json
import logging
import random
import reprlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, NoReturn, Self, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from penstock.config import SourceSettings
from penstock.errors import ConfigError, SourceAnswerError, SourceUnavailableError
from penstock.network import http
from penstock.pipelines.contract import Source
from penstock.pipelines.record import at_path
from penstock.urls import ShownUrl, shown

log = logging.getLogger(__name__)

_Page = TypeVar("_Page")

# 403 is among them: the real API answers it now and then to addresses of clouds.
_ASK_AGAIN = frozenset({403, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S = 1.0
# A 429 that names no time. The real API forgets its counts every 300 s (`resetInterval` in settings.json of
# github.com/RandomAPI/Randomuser.me-Node); 10 s doubled up to 60 s outlasts that in the default eight attempts.
_FIRST_PAUSE_OF_A_LIMIT_S = 10.0
_TOO_LONG = "with more than {} bytes, the limit (source.max_response_bytes)"
_ENCODED = "In its user name and password : / ? # [ ] @ and % must be percent-encoded"


@dataclass(frozen=True)
class Page:
    """One answer: `items` as parsed from JSON, in the API's order; `received_at` is aware and is when it was whole."""

    url: ShownUrl
    number: int
    items: list[Any]
    received_at: datetime
    body_bytes: int
    """Size of the decoded body."""


@dataclass(frozen=True)
class Clock:
    """Where time and chance come from; tests pass their own."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic_s: Callable[[], float] = time.monotonic
    sleep_s: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = field(default=random.SystemRandom().random)
    """Uniform in [0, 1): the jitter of the pauses."""


def seed_for(moment: datetime) -> str:
    """The seed of the run that starts at an aware `moment`: always 22 characters.

    The length is part of the promise. The API appends the page's number to the seed, so that seeds of two lengths could
    ask for the same page, and it treats a seed of 18 characters as one that picks a nationality.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: a seed needs an aware moment")
    moment = moment.astimezone(UTC)
    return f"{moment.year:04}{moment:%m%dT%H%M%S%fZ}"  # %Y of the year 999 has three characters on Linux


def outlook(status: int, settings: SourceSettings) -> str:
    """What a run does when the API answers a request with this HTTP status, in words."""
    if status == HTTPStatus.OK:
        return "a run goes on"
    if status not in _ASK_AGAIN:
        return "a run fails at once"
    if settings.attempts == 1:
        return "a run fails at once, as source.attempts is 1"
    return (
        f"a run asks {settings.attempts} times in all (source.attempts) before it fails, "
        f"or until it is told to wait for more than {settings.max_wait_s:g} s (source.max_wait_s)"
    )


class Api:
    """The API of one pipeline; one connection pool. Not for use by several threads at once."""

    def __init__(
        self,
        source: Source,
        settings: SourceSettings,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._settings = settings
        self._clock = clock or Clock()
        self._url = _checked_url(settings.url or source.url)
        self._client = httpx.Client(
            transport=transport or http.transport(),
            timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
            headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "penstock"},
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def pages(self, seed: str, records: int) -> Iterator[Page]:
        """The pages that together hold `records` items; only the last one is smaller than the declared page size.

        The API makes the items of a page one after the other, so a smaller page is the beginning of the full one:
        asking for more records under the same seed gives the same ones and then more.

        Raises:
            SourceUnavailableError: no usable answer within the budget of attempts, which is per page.
            SourceAnswerError: an answer, but of the wrong kind.
            ConfigError: no number of records that the API's pages hold.
        """
        size, records = self._source.page_size, self._source.asked(records)
        for number, start in enumerate(range(0, records, size), start=1):
            yield self._page(_Question(seed, number, min(size, records - start)))

    def _page(self, question: "_Question") -> Page:
        retrying = Retrying(
            retry=retry_if_exception_type(_UnusableError),
            stop=self._is_spent,
            wait=self._pause_s,
            sleep=self._clock.sleep_s,
            before_sleep=self._log_retry,
            retry_error_callback=_give_up,
        )
        answer: Page = retrying(self._ask, question)
        return answer

    def _ask(self, question: "_Question") -> Page:
        source = self._source
        asked: dict[str, str | int] = {
            source.seed_param: question.seed,
            source.page_param: question.page,
            source.size_param: question.size,
        }
        url = self._url.copy_merge_params(asked)
        told = self._shown(str(url))
        try:
            with self._client.stream("GET", url) as response:
                self._check_status(told, response)
                body = self._body(told, response)
        except httpx.RequestError as error:
            if remedy := http.untrusted(error):
                raise SourceUnavailableError(told, 1, f"{error}. {remedy}") from error
            raise _UnusableError(told, f"{type(error).__name__}: {error}") from error
        received_at = self._clock.now()
        answer = _parsed(told, body, response.headers.get("Content-Type", "no content type"))
        items = self._items(told, answer, question)
        return Page(told, question.page, items, received_at, len(body))

    def _shown(self, url: str) -> ShownUrl:
        """Which page it asks for can be seen, and no key of the API."""
        source = self._source
        return shown(url, (source.seed_param, source.page_param, source.size_param))

    def _check_status(self, url: ShownUrl, response: httpx.Response) -> None:
        status = response.status_code
        if status == HTTPStatus.OK:
            return
        said = f"{status} {response.reason_phrase}".strip()
        if status in _ASK_AGAIN:
            raise _UnusableError(url, said, limited=status == 429, wait_s=self._retry_after_s(response))
        if response.has_redirect_location:
            target = self._shown(response.headers["Location"])
            raise SourceAnswerError(url, f"with {said} to {target}: no redirect is followed; set source.url to it")
        raise SourceAnswerError(url, f"with {said}, which asking again will not change. Is source.url right?")

    def _body(self, url: ShownUrl, response: httpx.Response) -> bytes:
        """The decoded body. Decoded here and not by httpx, so that the limit also holds inside one compressed chunk."""
        most, deadline_s = self._settings.max_response_bytes, self._settings.answer_timeout_s
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > most:
            raise SourceAnswerError(url, f"announcing {announced}, {_TOO_LONG.format(most)}")
        decode = _decoder(url, response.headers.get("Content-Encoding", "identity").strip().lower())
        started_s, body = self._clock.monotonic_s(), bytearray()
        for chunk in response.iter_raw():
            body += decode(chunk, most + 1 - len(body))
            if len(body) > most:
                raise SourceAnswerError(url, _TOO_LONG.format(most))
            if self._clock.monotonic_s() - started_s > deadline_s:
                cause = f"{len(body)} bytes came within {deadline_s:g} s (source.answer_timeout_s) and more was to come"
                raise _UnusableError(url, cause)
        return bytes(body)

    def _items(self, url: ShownUrl, answer: Any, question: "_Question") -> list[Any]:
        for path, template in self._source.echoes.items():
            expected = template.format(seed=question.seed, page=question.page, size=question.size)
            found = at_path(answer, path)
            if isinstance(found, bool) or str(found) != expected:
                raise _UnusableError(
                    url, f"{path} is {reprlib.repr(found)} where {expected!r} was asked for", wrong=True
                )
        items = at_path(answer, self._source.items)
        if not isinstance(items, list):
            raise _UnusableError(url, f"{self._source.items!r} is no list", wrong=True)
        if len(items) != question.size:
            problem = f"{self._source.items!r} holds {len(items)} items where {question.size} were asked for"
            raise _UnusableError(url, problem, wrong=True)
        return items

    def _retry_after_s(self, response: httpx.Response) -> float | None:
        """Both forms of https://www.rfc-editor.org/rfc/rfc9110#name-retry-after; None when absent or unreadable."""
        text = response.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - self._clock.now()).total_seconds())

    def _is_spent(self, state: RetryCallState) -> bool:
        wait_s = _failure(state).wait_s
        too_long = wait_s is not None and wait_s > self._settings.max_wait_s
        return too_long or stop_after_attempt(self._settings.attempts)(state)

    def _pause_s(self, state: RetryCallState) -> float:
        """What the API asks for; else doubled each time, with full jitter unless the API limits us: it will not relent.

        Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        failure, most = _failure(state), self._settings.max_wait_s
        if failure.wait_s is not None:
            return failure.wait_s
        doubled = 2.0 ** min(state.attempt_number - 1, 32)
        if failure.limited:
            return min(most, _FIRST_PAUSE_OF_A_LIMIT_S * doubled)
        return min(most, _FIRST_PAUSE_S * doubled) * self._clock.chance()

    def _log_retry(self, state: RetryCallState) -> None:
        failure = _failure(state)
        log.warning(
            "%s: %s; attempt %d of %d, the next in %.1f s",
            *(failure.url, failure.cause, state.attempt_number, self._settings.attempts, state.upcoming_sleep),
        )


def ahead(pages: Iterable[_Page]) -> Iterator[_Page]:
    """The same pages, and the same error in its place: while the caller works on one, a thread fetches the next.

    Whoever stops early waits for nothing; the thread ends after the page that it is at.
    """
    fetched: Queue[_Page | Exception | None] = Queue(maxsize=1)
    stopped = Event()
    Thread(target=_fetch, args=(pages, fetched, stopped), name="fetch", daemon=True).start()
    try:
        while (found := fetched.get()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        stopped.set()
        with suppress(Empty):
            fetched.get_nowait()  # room for what the thread may be holding


def _fetch(pages: Iterable[_Page], fetched: "Queue[_Page | Exception | None]", stopped: Event) -> None:
    try:
        for page in pages:
            fetched.put(page)
            if stopped.is_set():
                return
    except Exception as error:  # noqa: BLE001 - the caller's, who raises it
        fetched.put(error)
    else:
        fetched.put(None)


@dataclass(frozen=True)
class _Question:
    seed: str
    page: int
    size: int


class _UnusableError(Exception):
    """An attempt that failed in a way that the next one may not."""

    def __init__(
        self, url: ShownUrl, cause: str, *, wrong: bool = False, limited: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(cause)
        self.url = url
        self.cause = cause
        self.wrong = wrong
        """An answer of the right form to another question."""
        self.limited = limited
        self.wait_s = wait_s
        """The pause that the API asks for."""


def _failure(state: RetryCallState) -> _UnusableError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _UnusableError)  # noqa: S101 - tenacity asks only after such a failure
    return error


def _give_up(state: RetryCallState) -> NoReturn:
    failure, attempts = _failure(state), state.attempt_number
    if failure.wrong:
        raise SourceAnswerError(failure.url, f"in each of {attempts} attempts not to the question: {failure.cause}")
    asked = "" if failure.wait_s is None else f", to be asked again in {failure.wait_s:.0f} s"
    raise SourceUnavailableError(failure.url, attempts, failure.cause + asked) from failure


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:  # whose text repeats what it could not read, which may be a piece of a password
        raise ConfigError(f"setting source.url is {shown(text)!r}, which is no address. {_ENCODED}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(
            f"setting source.url is {shown(text)!r}; it must begin with http:// or https:// and name a host"
        )
    return url


def _decoder(url: ShownUrl, encoding: str) -> Callable[[bytes, int], bytes]:
    """Decodes a chunk to at most the given number of bytes."""
    if encoding == "identity":
        return lambda chunk, most: chunk[:most]
    if encoding == "gzip":
        return _Gunzip(url).decode
    raise SourceAnswerError(url, f"encoded as {encoding!r}; asked for was gzip")


class _Gunzip:
    def __init__(self, url: ShownUrl) -> None:
        self._url = url
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def decode(self, chunk: bytes, most: int) -> bytes:
        try:
            return self._inflate.decompress(chunk, most)
        except zlib.error as error:
            raise _UnusableError(self._url, f"its gzip cannot be read: {error}") from error


def _parsed(url: ShownUrl, body: bytes, content_type: str) -> Any:
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        cause = f"200 with {len(body)} bytes of {content_type}, which are not JSON ({error})"
        raise _UnusableError(url, cause) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
