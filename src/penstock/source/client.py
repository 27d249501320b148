"""One question to the API: asked until the answer is one to it, within limits of attempts, time and size."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from penstock.config import SourceSettings
from penstock.errors import SourceAnswerError, SourceUnavailableError
from penstock.network import http
from penstock.source.body import ASKED_ENCODING, Decoder, UndecodableError, reader
from penstock.source.links import links_of
from penstock.source.pace import Clock, Pace, asked_pause_s
from penstock.source.requests import Request
from penstock.urls import ShownUrl, shown

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# 403 is among them: the users API answers it now and then to addresses of clouds, and GitHub where a limit is reached.
_ASK_AGAIN = frozenset({403, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S = 1.0
# A 429 that names no time. The users API forgets its counts every 300 s (`resetInterval` in settings.json of
# github.com/RandomAPI/Randomuser.me-Node); 10 s doubled up to 60 s outlasts that in the default eight attempts.
_FIRST_PAUSE_OF_A_LIMIT_S = 10.0
_TOO_LONG = "with more than {} bytes, the limit (source.max_response_bytes)"


def outlook(status: int, settings: SourceSettings) -> str:
    """A sentence for people: what a run does when the API answers a request with this HTTP status."""
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


@dataclass(frozen=True)
class Reply:
    """A whole answer with the status 200."""

    document: Any
    links: dict[str, str]
    headers: httpx.Headers
    received_at: datetime
    body_bytes: int
    """Size of the decoded body."""
    is_empty: bool = False
    """The API says by its status that there is nothing; there is no document."""


class UnusableError(Exception):
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


class NotJsonError(UnusableError):
    """A whole answer that is neither JSON nor what else was asked for."""


class StatusError(SourceAnswerError):
    """A status that asking again will not change."""

    def __init__(self, url: ShownUrl, problem: str, status: int) -> None:
        self.status = status
        super().__init__(url, problem)


class UnauthorizedError(StatusError):
    """The credentials are not taken."""


class Client:
    """One connection pool, and the patience of the settings. Not for use by several threads at once."""

    def __init__(
        self, settings: SourceSettings, pace: Pace, transport: httpx.BaseTransport | None, clock: Clock
    ) -> None:
        self._settings = settings
        self._pace = pace
        self._clock = clock
        self._client = httpx.Client(
            transport=transport or http.transport(),
            timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
            headers={"Accept": "application/json", "Accept-Encoding": ASKED_ENCODING, "User-Agent": "penstock"},
            follow_redirects=False,
        )

    def close(self) -> None:
        self._client.close()

    def until_usable(self, attempt: Callable[[], _T]) -> _T:
        """Makes the attempt, again after each `UnusableError`, and returns its result.

        Raises:
            SourceUnavailableError, SourceAnswerError: the attempts are spent.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(UnusableError),
            stop=self._is_spent,
            wait=self._pause_s,
            sleep=self._clock.sleep_s,
            before_sleep=self._log_retry,
            retry_error_callback=_give_up,
        )
        return retrying(attempt)

    def send(
        self,
        request: Request,
        *,
        ndjson: bool = False,
        form: dict[str, str] | None = None,
        empty: frozenset[int] = frozenset(),
    ) -> Reply:
        """The answer to one request, sent once; with a `form`, that is its body. `empty` are the statuses that say that
        there is nothing.

        Raises:
            UnusableError: asking again may help.
            SourceError: it will not.
        """
        if (spent_s := self._pace.spent_for_s()) > self._settings.max_wait_s:
            raise UnusableError(request.shown, "it said before that no request remains", wait_s=spent_s)
        self._pace.begins(spent_s)
        try:
            with self._open(request, form) as response:
                self._pace.hears(response.headers)
                if response.status_code in empty:
                    return Reply(None, {}, response.headers, self._clock.now(), 0, is_empty=True)
                self._check_status(request.shown, response)
                body = self._body(request.shown, response)
                headers = response.headers
        except httpx.RequestError as error:
            if remedy := http.untrusted(error):
                raise SourceUnavailableError(request.shown, 1, f"{error}. {remedy}") from error
            raise UnusableError(request.shown, f"{type(error).__name__}: {error}") from error
        received_at = self._clock.now()
        document = _parsed(request.shown, body, headers.get("Content-Type", "no content type"), ndjson=ndjson)
        return Reply(document, links_of(headers.get("Link", "")), headers, received_at, len(body))

    def look(self, request: Request) -> httpx.Response:
        """The head of the answer to a request, whatever it is; for people who want to know whether the API is there.

        Raises:
            httpx.HTTPError: nobody answers.
        """
        response: httpx.Response
        with self._open(request, None) as response:
            return response

    def _open(self, request: Request, form: dict[str, str] | None) -> Any:
        content = {"data": form} if form else {"json": request.json} if request.json is not None else {}
        return self._client.stream(request.method, request.url, headers=dict(request.headers), **content)

    def _check_status(self, url: ShownUrl, response: httpx.Response) -> None:
        status = response.status_code
        if status == HTTPStatus.OK:
            return
        said = f"{status} {response.reason_phrase}".strip()
        if status in _ASK_AGAIN:
            wait_s = asked_pause_s(response.headers, self._clock.now())
            self._pace.spent_for_s()  # what an answer that refuses says of the next request is its own pause
            raise UnusableError(url, said, limited=status == HTTPStatus.TOO_MANY_REQUESTS, wait_s=wait_s)
        if response.has_redirect_location:
            target = shown(response.headers["Location"])
            raise SourceAnswerError(
                url, f"with {said} to {target}: no redirect is followed; make it the source's address"
            )
        if status == HTTPStatus.UNAUTHORIZED:
            problem = f"with {said}. Is the source's auth declared, and its secret the right one?"
            raise UnauthorizedError(url, problem, status)
        problem = f"with {said}, which asking again will not change. Is the source's address right?"
        raise StatusError(url, problem, status)

    def _body(self, url: ShownUrl, response: httpx.Response) -> bytes:
        """The decoded body. Decoded here and not by httpx, so that the limit also holds inside one compressed chunk."""
        most, deadline_s = self._settings.max_response_bytes, self._settings.answer_timeout_s
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > most:
            raise SourceAnswerError(url, f"announcing {announced}, {_TOO_LONG.format(most)}")
        decoder = _decoder(url, response.headers.get("Content-Encoding", "identity").strip().lower())
        started_s, body = self._clock.monotonic_s(), bytearray()
        try:
            for chunk in response.iter_raw():
                body += decoder.decode(chunk, most + 1 - len(body))
                if len(body) > most:
                    raise SourceAnswerError(url, _TOO_LONG.format(most))
                if self._clock.monotonic_s() - started_s > deadline_s:
                    came = f"{len(body)} bytes came within {deadline_s:g} s (source.answer_timeout_s)"
                    raise UnusableError(url, f"{came} and more was to come")
            decoder.finish()
        except UndecodableError as error:
            raise UnusableError(url, str(error)) from error
        return bytes(body)

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


def _failure(state: RetryCallState) -> UnusableError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, UnusableError)  # noqa: S101 - tenacity asks only after such a failure
    return error


def _give_up(state: RetryCallState) -> NoReturn:
    failure, attempts = _failure(state), state.attempt_number
    if failure.wrong:
        raise SourceAnswerError(failure.url, f"in each of {attempts} attempts not to the question: {failure.cause}")
    asked = "" if failure.wait_s is None else f", to be asked again in {failure.wait_s:.0f} s"
    raise SourceUnavailableError(failure.url, attempts, failure.cause + asked) from failure


def _decoder(url: ShownUrl, encoding: str) -> Decoder:
    try:
        return Decoder(encoding)
    except ValueError:
        raise SourceAnswerError(url, f"encoded as {encoding!r}; asked for was {ASKED_ENCODING}") from None


def _parsed(url: ShownUrl, body: bytes, content_type: str, *, ndjson: bool) -> Any:
    try:
        return reader(content_type, ndjson=ndjson)(body)
    except (ValueError, RecursionError) as error:
        cause = f"200 with {len(body)} bytes of {content_type}, which are not JSON ({error})"
        raise NotJsonError(url, cause) from error
