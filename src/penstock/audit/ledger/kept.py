"""A client of a server that is used many times: opened once, and again after an error."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Generic, Self, TypeVar

Opened = TypeVar("Opened")


class Kept(Generic[Opened]):
    """Opened with the first look, kept for the next ones, and opened anew only after a look that failed.

    A server may be restarted between two looks. A context manager: it closes at the end.
    """

    def __init__(self, opening: Callable[[], AbstractContextManager[Opened]]) -> None:
        self._opening = opening
        self._closing = ExitStack()
        self._opened: list[Opened] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @contextmanager
    def look(self) -> Iterator[Opened]:
        """Lends what is open to the block. An exception in the block closes it, and the next look opens it anew."""
        try:
            if not self._opened:
                self._opened.append(self._closing.enter_context(self._opening()))
            yield self._opened[0]
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        self._opened.clear()
        self._closing.close()
