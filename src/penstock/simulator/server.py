"""The simulated API over HTTP: routes, the limit of users per address, and how a reply goes over the wire."""

import errno
import json
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from penstock.config import LOOPBACK
from penstock.errors import PortTakenError, ServiceError
from penstock.simulator.faults import Faults, Reply, no_faults, whole
from penstock.simulator.people import VERSION, RefusedError, answer, question

log = logging.getLogger(__name__)

_PATHS = frozenset({"/api", "/api/", f"/api/{VERSION}", f"/api/{VERSION}/"})
_JSON = {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-cache"}


@dataclass(frozen=True)
class RateLimit:
    """How many users an address gets in one window of time; all counts are forgotten when a window ends.

    As in the real API (`settings.json` and `app.js` of github.com/RandomAPI/Randomuser.me-Node) the request that
    crosses the limit is still answered, and the 429 after it names no time to come back.
    """

    users: int = 20_000
    window_s: float = 300


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


class Simulator:
    """The running API, on a port of `host` that is free when `port` is 0. Use it as a context manager.

    With an `api` it serves that one in place of the users API. Leaving it lets replies that are under way finish, then
    closes every connection.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = LOOPBACK,
        limit: RateLimit | None = None,
        faults: Faults = no_faults,
        monotonic_s: Callable[[], float] = time.monotonic,
        api: Callable[[Asked], Reply] | None = None,
    ) -> None:
        self._desk = _Desk(limit, faults, monotonic_s, api)
        try:
            self._server = _Server((host, port), self._desk)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ServiceError(f"simulator cannot listen on {host}:{port} (stack.listen): {error}") from error
            raise PortTakenError(
                [("simulator", port, "another process")], "Give it another: --port-offset, or PENSTOCK_PORTS_SIMULATOR"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="simulator")

    @property
    def port(self) -> int:
        port: int = self._server.server_address[1]
        return port

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/api/"

    @property
    def requests(self) -> int:
        """Requests so far, whatever came of them; those for no users are not counted by the users API."""
        return self._desk.requests

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()


def serve(
    port: int,
    *,
    host: str = LOOPBACK,
    limit: RateLimit | None = None,
    faults: Faults = no_faults,
    ready: Callable[[int], None] | None = None,
    api: Callable[[Asked], Reply] | None = None,
) -> None:
    """Serves until SIGTERM or Ctrl-C, from the main thread. Without a `limit`, nobody is turned away.

    With an `api` it serves that one in place of the users API.

    Raises:
        PortTakenError: another process listens on this port.
        ServiceError: this machine cannot listen there.
    """
    stopping = {signal.SIGTERM, signal.SIGINT}
    # Blocked before a thread starts, so that every thread leaves them to the wait below.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    try:
        with Simulator(port, host=host, limit=limit, faults=faults, api=api) as simulator:
            where = simulator.url.removesuffix("api/") if api else simulator.url
            log.info("%s is simulated at %s", "an API" if api else "the users API", where)
            if ready is not None:
                ready(simulator.port)
            signal.sigwait(stopping)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Desk:
    """Decides what a request gets; the counts behind it are shared by all connections."""

    def __init__(
        self,
        limit: RateLimit | None,
        faults: Faults,
        monotonic_s: Callable[[], float],
        api: Callable[[Asked], Reply] | None,
    ) -> None:
        self.requests = 0
        self._api = api
        self._limit, self._faults, self._monotonic_s = limit, faults, monotonic_s
        self._lock = threading.Lock()
        self._users: dict[str, int] = {}
        self._window_began_s = monotonic_s()

    def reply(self, asked: Asked, address: str) -> Reply:
        if self._api is None and asked.path not in _PATHS:
            return whole(404, b"Not Found", {"Content-Type": "text/plain; charset=utf-8"})
        with self._lock:
            self.requests += 1
            number = self.requests
        good = self._api(asked) if self._api else self._users_reply(asked.query, address)
        fault = self._faults(number)
        return fault(good) if fault else good

    def _users_reply(self, query: dict[str, str], address: str) -> Reply:
        try:
            asked = question(query)
            had = self._count(address, asked.results)
            if self._limit is not None and had >= self._limit.users:
                return _json(429, {"error": f"{had} users in the last minutes are too many; come back later"})
            return _json(200, answer(asked))
        except RefusedError as error:
            return _json(400, {"error": str(error)})

    def _count(self, address: str, users: int) -> int:
        """Users that this address had before; these are added unless they are refused."""
        if self._limit is None:
            return 0
        with self._lock:
            now_s = self._monotonic_s()
            if now_s - self._window_began_s >= self._limit.window_s:
                self._users.clear()
                self._window_began_s = now_s
            had = self._users.get(address, 0)
            if had < self._limit.users:
                self._users[address] = had + users
            return had


def _json(status: int, value: Any) -> Reply:
    return whole(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), _JSON)


class _Server(ThreadingTCPServer):
    # Not http.server's: that one asks the DNS for this machine's name before it listens.
    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], desk: _Desk) -> None:
        self.desk = desk
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._closing = False
        super().__init__(address, _Connection)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)
            closing = self._closing
        if closing:
            _stop_reading(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def hang_up(self) -> None:
        """No further request is read; replies under way are finished."""
        with self._lock:
            self._closing = True
            connections = tuple(self._connections)
        for connection in connections:
            _stop_reading(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if isinstance(error, OSError):
            log.debug("%s went away before its reply was whole: %s", client_address, error)
        else:
            log.error("a request of %s could not be answered", client_address, exc_info=error)


class _Connection(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "penstock-simulator"
    disable_nagle_algorithm = True
    timeout = 60

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        asked = Asked(self.command, self.path, self.headers, self.rfile.read(length))
        self._send(self.server.desk.reply(asked, str(self.client_address[0])))

    do_POST = do_GET  # noqa: N815 - the name that the base class looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gives it
        log.debug(format, *args)

    def _send(self, reply: Reply) -> None:
        if reply.silent:
            self._hung_up(self.timeout)
            self.close_connection = True
            return
        self.send_response(reply.status)
        length = {"Connection": "close"} if reply.length is None else {"Content-Length": str(reply.length)}
        for name, value in {**reply.headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        sent = 0
        for piece in reply.body:
            if reply.pause_s and self._hung_up(reply.pause_s):
                break
            sent += self.wfile.write(piece)
        if reply.reset:
            self._reset()
        elif reply.length is None or sent < reply.length:
            self.close_connection = True

    def _hung_up(self, within_s: float) -> bool:
        """Whether the client goes away within this time, or the server does: a pause that need not be sat out."""
        self.connection.settimeout(within_s)
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        finally:
            self.connection.settimeout(self.timeout)

    def _reset(self) -> None:
        self.close_connection = True
        self.server.closed(self.connection)
        # Lingering for zero seconds makes a close send a reset: socket(7), SO_LINGER.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())


def _stop_reading(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        log.debug("a connection was gone before it was hung up")
