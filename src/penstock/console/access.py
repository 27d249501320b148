"""Who may come in: whoever knows the token and calls the page by a name of this console; to change something, from it.

The name is looked at because a page elsewhere may have its own name lead to this machine (DNS rebinding); the origin
because a browser sends cookies along with what such a page asks for.
"""

import hashlib
import hmac
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.config import Settings

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not "no-referrer": browsers then send `Origin: null` with a form, also to the page itself.
    # https://fetch.spec.whatwg.org/#append-a-request-origin-header
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def is_free(path: str) -> bool:
    """Whether the path needs no token: the health check, styles and scripts. No answer to such a path may be a page."""
    return path == "/healthz" or path.startswith("/static/")


class Guard:
    """Stands before the app; gives every answer the headers that keep a browser from doing what no page asks for."""

    def __init__(self, app: ASGIApp, settings: Settings, token: str) -> None:
        self._app = app
        self._token = token
        self._read_only = settings.console.read_only
        port = settings.ports.console
        self._cookie = f"penstock_console_{port}"  # cookies are of a host, whatever the port
        named = {name.strip() for name in settings.console.hosts.split(",") if name.strip()}
        names = ("127.0.0.1", "localhost", "[::1]")
        self._hosts = {*named, *(f"{name}:{port}" for name in {*names, *named})}
        # What the browser keeps is not the token: whoever reads it there cannot make another console let him in.
        self._pass = hmac.new(token.encode(), b"penstock console", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    given.setdefault(name, value)
            await send(message)

        answer = self._refusal(scope, headers) or self._entrance(scope, headers)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """For whoever calls from the wrong place."""
        host = headers.get("host", "")
        if host not in self._hosts:
            return _told(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"This console is not called {host!r}. If it shall be: PENSTOCK_CONSOLE_HOSTS.",
            )
        if scope["method"] not in _CHANGING:
            return None
        if self._read_only:
            return _told(HTTPStatus.FORBIDDEN, "This console only shows: the setting console.read_only is true.")
        origin = headers.get("origin", "")
        if origin.partition("://")[2] != host or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return _told(HTTPStatus.FORBIDDEN, "Only the console's own page may change something.")
        return None

    def _entrance(self, scope: Scope, headers: Headers) -> Response | None:
        """For whoever is not let in, or is right now."""
        path: str = scope["path"]
        if is_free(path):
            return None
        path = "/" + path.lstrip("/")  # that of //elsewhere would lead there
        query = QueryParams(scope["query_string"])
        given = query.get("token", "")
        if given and self._is_token(given):
            rest = urlencode([(name, value) for name, value in query.multi_items() if name != "token"])
            response = RedirectResponse(f"{path}?{rest}" if rest else path, HTTPStatus.SEE_OTHER)
            response.set_cookie(self._cookie, self._pass, httponly=True, samesite="strict", path="/")
            return response
        cookie = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(cookie.encode(), self._pass.encode()) or self._is_token(bearer):
            return None
        return Response(_DOOR, HTTPStatus.UNAUTHORIZED, media_type="text/html")

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


def _told(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)


_DOOR = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Penstock</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<link rel="stylesheet" href="/static/console.css">
</head><body><main><section class="card"><h1>Penstock</h1><p class="say">This page needs its token.</p>
<p><code>penstock status</code> prints the address with it; it is needed once in each browser.</p>
<p>You came by a link and have been here before? <a href="">Go on</a>: a browser keeps its pass to itself
while it comes from another page.</p></section></main></body></html>
"""
