"""The requests of a source: the declared address, parameters and body, with what each page adds, and the credentials.

Credentials and declared headers go to the origin of the source's address, and nowhere else.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from penstock.errors import ConfigError, SourceAnswerError
from penstock.source.auth import ApiKey, Auth, Basic, Bearer, OAuth2ClientCredentials
from penstock.source.declaration import Source
from penstock.source.interval import Interval, has_marks
from penstock.source.paging import Ask, Body, Value
from penstock.source.secrets import Secrets
from penstock.urls import ShownUrl, shown

_ENCODED = "In its user name and password : / ? # [ ] @ and % must be percent-encoded"


@dataclass(frozen=True)
class Request:
    """One request; `shown` is its address as it may be shown. It holds no credentials before `Requests.signed`."""

    method: str
    url: httpx.URL
    shown: ShownUrl
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json: Any = None


class Requests:
    """Makes the requests of one run of a source. `address` stands in place of the declared one if it is not empty.

    Raises:
        ConfigError: the address is none, or the run lacks the interval that is asked for.
    """

    def __init__(
        self, source: Source, interval: Interval, address: str, secrets: Secrets, token: Callable[[], str]
    ) -> None:
        self._source = source
        self._base = checked_url(interval.filled(address or source.url))
        self._params = {name: _written(interval.filled(value)) for name, value in source.params.items()}
        self._headers = interval.filled(source.headers)
        self._json = interval.filled(source.json)
        self._allowed = {origin(self._base), *(origin(checked_url(each)) for each in source.origins)}
        self._last = self._base
        self._secrets = secrets
        self._token = token
        # What stands in the declaration may be a key after all; what is made for the run is none.
        self._plain = {name for name, value in source.params.items() if has_marks(value)}

    @property
    def address(self) -> ShownUrl:
        return shown(str(self._base))

    def of(self, ask: Ask) -> Request:
        """The request.

        Raises:
            SourceAnswerError: the answer before leads to a place that was not declared.
        """
        url = self._followed(ask.url) if ask.url else self._base.copy_merge_params(self._params)
        query = {place: _written(value) for place, value in ask.params.items() if isinstance(place, str)}
        url = url.copy_merge_params(query) if query else url
        headers = {} if self._is_foreign(url) else self._headers
        self._last = url
        return Request(self._source.method, url, shown(str(url), self._plain | query.keys()), headers, self._body(ask))

    def signed(self, request: Request) -> Request:
        """The request with the credentials, if it goes where these belong.

        Raises:
            ConfigError: a secret is not there.
        """
        if not self._source.auth or self._is_foreign(request.url):
            return request
        url, proof = credentials(self._source.auth, request.url, self._secrets, self._token)
        return replace(request, url=url, headers={**request.headers, **proof})

    def _followed(self, link: str) -> httpx.URL:
        try:
            url = self._last.join(link)
        except httpx.InvalidURL:
            url = httpx.URL("")
        if origin(url) not in self._allowed:
            told = shown(link)
            raise SourceAnswerError(
                self.address,
                f"it names {told} as its next page, and only pages of {', '.join(sorted(self._allowed))} are followed. "
                "If that is right, declare origins=",
            )
        return url if self._is_foreign(url) else url.copy_with(userinfo=self._base.userinfo)

    def _is_foreign(self, url: httpx.URL) -> bool:
        return origin(url) != origin(self._base)

    def _body(self, ask: Ask) -> Any:
        placed = {place.path: value for place, value in ask.params.items() if isinstance(place, Body)}
        if not placed:
            return self._json
        body = deepcopy(self._json) or {}
        for path, value in placed.items():
            *around, name = path.split(".")
            target = body
            for part in around:
                target = target.setdefault(part, {})
            target[name] = value
        return body


def credentials(
    auth: Auth, url: httpx.URL, secrets: Secrets, token: Callable[[], str]
) -> tuple[httpx.URL, dict[str, str]]:
    """The address and the headers with what proves who asks. `token` gives that of OAuth 2."""
    match auth:
        case Bearer():
            return url, {"Authorization": f"Bearer {secrets.read(auth.secret)}"}
        case ApiKey(param="") as key:
            return url, {key.header: secrets.read(key.secret)}
        case ApiKey() as key:
            return url.copy_set_param(key.param, secrets.read(key.secret)), {}
        case Basic():
            return url, {"Authorization": basic(auth.username, secrets.read(auth.secret))}
        case OAuth2ClientCredentials():
            return url, {"Authorization": f"Bearer {token()}"}


def basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def checked_url(text: str) -> httpx.URL:
    """An address of HTTP.

    Raises:
        ConfigError: it is none.
    """
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:  # whose text repeats what it could not read, which may be a piece of a password
        raise ConfigError(f"the source's address is {shown(text)!r}, which is no address. {_ENCODED}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(
            f"the source's address is {shown(text)!r}; it must begin with http:// or https:// and name a host"
        )
    return url


def origin(url: httpx.URL) -> str:
    """Scheme, host and port, the port also where the address leaves it out."""
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 0)
    return f"{url.scheme}://{url.host}:{port}"


def _written(value: Value | list[str]) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, list) else str(value)
