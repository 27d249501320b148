"""Clients that are kept open: between looks, and between reads of a topic."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from penstock.audit.ledger.kept import Kept
from penstock.errors import StoreError
from penstock.kafka.read import Consumers


class Server:
    """Counts who came and who left; gives no connection while it is `down`."""

    def __init__(self) -> None:
        self.down = False
        self.opened = self.closed = 0

    @contextmanager
    def connect(self) -> Iterator[int]:
        if self.down:
            raise StoreError("down")
        self.opened += 1
        try:
            yield self.opened
        finally:
            self.closed += 1


@pytest.fixture
def server() -> Server:
    return Server()


def test_many_looks_share_what_the_first_one_opened(server: Server) -> None:
    with Kept(server.connect) as kept:
        for _ in range(20):
            with kept.look() as connection:
                assert connection == 1
        assert (server.opened, server.closed) == (1, 0)
    assert (server.opened, server.closed) == (1, 1)


def test_look_after_one_that_failed_opens_anew(server: Server) -> None:
    with Kept(server.connect) as kept:
        with pytest.raises(StoreError), kept.look():
            raise StoreError("restarted")
        assert server.closed == 1
        with kept.look() as connection:
            assert connection == 2


def test_server_that_is_down_at_first_is_asked_again(server: Server) -> None:
    server.down = True
    with Kept(server.connect) as kept:
        with pytest.raises(StoreError), kept.look():
            pass
        server.down = False
        with kept.look() as connection:
            assert connection == 1
    assert server.closed == 1


def test_nothing_is_opened_without_a_look(server: Server) -> None:
    with Kept(server.connect):
        pass
    assert server.opened == 0


class Consumer:
    """Knows whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def consumers() -> Iterator[Consumers]:
    consumers = Consumers(Consumer)  # type: ignore[arg-type] # as much of one as is asked of it
    yield consumers
    consumers.close()


def test_next_read_takes_up_the_consumer_of_the_last_one(consumers: Consumers) -> None:
    with consumers.one() as first:
        pass
    with consumers.one() as second:
        pass
    assert first is second


def test_two_reads_at_once_have_a_consumer_each(consumers: Consumers) -> None:
    with consumers.one() as first, consumers.one() as second:
        assert first is not second


def test_consumer_that_met_an_error_is_closed_and_not_used_again(consumers: Consumers) -> None:
    with pytest.raises(StoreError), consumers.one() as spoilt:
        raise StoreError("x")
    assert spoilt.closed  # type: ignore[attr-defined]
    with consumers.one() as next_one:
        assert next_one is not spoilt


def test_idle_consumers_are_closed_at_the_end(consumers: Consumers) -> None:
    with consumers.one() as consumer:
        pass
    consumers.close()
    assert consumer.closed  # type: ignore[attr-defined]
