"""Pages fetched by a thread while the caller works on the one before."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

_Page = TypeVar("_Page")


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
