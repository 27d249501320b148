"""Servers of `socketserver` that answer while a test runs, and end with it whatever becomes of the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread

_LOOK_S = 0.01
"""How often a server looks whether it is to end. Python's half a second would be waited for after each test."""


@contextmanager
def answering(server: BaseServer) -> Iterator[None]:
    """The server answers, in a thread of its own, and is closed at the end."""
    thread = Thread(target=server.serve_forever, args=(_LOOK_S,), daemon=True)
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
