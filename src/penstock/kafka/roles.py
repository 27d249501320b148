"""The parts of a `Broker` that other packages need, as protocols; tests pass in others."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from penstock.kafka.messages import Message, Offsets, Receipts, Received


class Topics(Protocol):
    """Reads topics."""

    def offsets(self, topic: str) -> dict[int, Offsets]: ...

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]: ...


class Publisher(Protocol):
    """Publishes messages, and returns when every one is acknowledged."""

    def publish(self, messages: Iterable[Message], on_progress: Callable[[int], None] = ...) -> Receipts: ...
