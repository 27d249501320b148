"""The few questions that a proposal asks, and the file that may stand in place of the first answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import httpx

from penstock.config import Settings
from penstock.errors import PenstockError, SourceError, SourceUnavailableError
from penstock.network import http
from penstock.proposal.given import Given, Params
from penstock.source import Ask, Interval, Source
from penstock.source.api import Api, asked_once
from penstock.source.body import reader
from penstock.source.client import NotJsonError
from penstock.urls import ShownUrl, shown

MOST_QUESTIONS = 6
"""An API is not searched: what these do not tell is written down as a doubt."""
PATIENCE_S = 10.0
"""How long the API may be silent: somebody waits and looks."""


@dataclass(frozen=True)
class Answer:
    """One answer of the API: its document, and what of its head says something about pages."""

    document: Any
    links: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    ndjson: bool = False
    """Whether each line is an item, which the answer's `Content-Type` does not say."""


class Asking:
    """Asks one API a handful of times at most. Use it as a context manager.

    Credentials go to the API's own origin only, and no redirect is followed: it is asked as a run asks.
    """

    def __init__(self, settings: Settings, given: Given, now: datetime) -> None:
        self._given = given
        self._settings = settings
        self._now = now
        self._ndjson = False
        self._patience = asked_once(settings.source, PATIENCE_S)
        self._transport = http.transport(settings.own_hosts())
        self.asked: list[ShownUrl] = []
        """Every question, in its order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def first(self) -> Answer:
        """The answer to the address as it was given, or what the file holds.

        Raises:
            SourceError: there is none, or it is neither JSON nor lines of JSON.
            ConfigError: the API cannot be asked so.
        """
        if self._given.file is not None:
            return _of_file(self._given, self._settings.source.max_response_bytes)
        try:
            return self._reply(Ask(), self._given.params)
        except SourceUnavailableError as error:
            if not isinstance(error.__cause__, NotJsonError):
                raise
            first = error
        self._ndjson = True
        try:
            return self._reply(Ask(), self._given.params)
        except SourceUnavailableError:
            raise first from None

    def more(self, params: Mapping[str, str | int] | None = None, url: str = "") -> Answer | None:
        """The answer with other parameters, or at the address that an answer named; None where the API gives none, or
        has been asked often enough.
        """
        if self._given.file is not None or len(self.asked) >= MOST_QUESTIONS:
            return None
        changed = {name: str(value) for name, value in (params or {}).items()}
        try:
            return self._reply(Ask(url=url), {} if url else {**self._given.params, **changed})
        except PenstockError:
            return None

    def _reply(self, ask: Ask, params: Params) -> Answer:
        source = Source(self._given.url, "", params=params, auth=self._given.auth, ndjson=self._ndjson)
        address = httpx.URL(self._given.url).copy_merge_params(dict(params))
        self.asked.append(shown(ask.url or str(address), params.keys()))
        with Api(source, self._patience, transport=_Kept(self._transport)) as api:
            reply = api.reply(Interval(self._now), ask)
        return Answer(reply.document, reply.links, dict(reply.headers), self._ndjson)


class _Kept(httpx.BaseTransport):
    """The one transport of all questions, which no client of one of them closes."""

    def __init__(self, kept: httpx.BaseTransport) -> None:
        self._kept = kept

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._kept.handle_request(request)


def _of_file(given: Given, most_bytes: int) -> Answer:
    assert given.file is not None  # noqa: S101 - the caller looked
    try:
        with given.file.open("rb") as file:
            body = file.read(most_bytes + 1)
    except OSError as error:
        raise SourceError(f"{given.file} cannot be read: {error}") from error
    if len(body) > most_bytes:
        raise SourceError(f"{given.file} has more than {most_bytes} bytes, the limit (source.max_response_bytes)")
    problems = []
    for ndjson in (False, True):
        try:
            return Answer(reader("", ndjson=ndjson)(body), ndjson=ndjson)
        except (ValueError, RecursionError) as error:
            problems.append(error)
    raise SourceError(f"{given.file} holds neither JSON ({problems[0]}) nor lines of JSON ({problems[1]})")
