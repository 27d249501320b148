"""The account of a run, over topics and a table that are lists in memory."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from penstock.broker import Offsets, Received
from penstock.contract import Pipeline
from penstock.errors import StoreError
from penstock.ledger import Account, Ledger
from penstock.record import Header, letter_id, to_bytes
from penstock.store import Row
from penstock.users import USERS, User

RUN = "manual__2025-03-12"
AT_MS = 1_741_789_800_123


class Lists:
    """Two topics of one partition and a table."""

    def __init__(self) -> None:
        self.topics: dict[str, list[Received]] = {USERS.topic: [], USERS.dead_letter_topic: []}
        self.table: dict[UUID, Row] = {}
        self.looked_up = 0

    def offsets(self, topic: str) -> dict[int, Offsets]:
        return {0: Offsets(0, len(self.topics[topic]))}

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]:
        return iter(self.topics[topic][(start or {}).get(0, 0) : (end or {}).get(0)])

    def rows(self, pipeline: Pipeline, ids: Iterable[Any]) -> Iterator[Row]:
        wanted = list(ids)
        self.looked_up += len(wanted)
        return (self.table[key] for key in wanted if key in self.table)

    def publish(self, value: bytes, item: str, *, run: str = RUN, at_ms: int = AT_MS) -> str:
        return self._append(USERS.topic, None, value, {Header.RUN: run, Header.ITEM: item}, at_ms)

    def replay(self, value: bytes, item: str, identity: str) -> None:
        """Five milliseconds older than the letter it replays."""
        headers = {Header.RUN: RUN, Header.ITEM: item, Header.REPLAYS: identity, Header.WRITE_TIME_MS: str(AT_MS - 5)}
        self._append(USERS.topic, None, value, headers, AT_MS)

    def resolve(self, identity: str) -> None:
        self._append(USERS.dead_letter_topic, identity.encode(), b"", {Header.RUN: RUN, Header.RESOLVED: "x"}, AT_MS)

    def reject(self, origin: str, *, run: str = RUN) -> None:
        self._append(USERS.dead_letter_topic, origin.encode(), b"", {Header.RUN: run}, AT_MS)

    def reject_at_ingest(self, item: str, *, url: str = "http://api/?page=1") -> None:
        headers = {Header.RUN: RUN, Header.ITEM: item, Header.ORIGIN_URL: url}
        self._append(USERS.dead_letter_topic, f"{RUN}/{url}#{item}".encode(), b"{}", headers, AT_MS)

    def store(self, user: User, at_ms: int = AT_MS, **other: Any) -> None:
        values = {**user.model_dump(), **other}
        set_cells = {name for name, value in values.items() if value is not None and name != USERS.key}
        self.table[user.id] = Row(values, dict.fromkeys(set_cells, at_ms * 1_000))

    def _append(self, topic: str, key: bytes | None, value: bytes, headers: Mapping[Any, str], at_ms: int) -> str:
        offset = len(self.topics[topic])
        self.topics[topic].append(Received(topic, 0, offset, key, value, headers, at_ms))
        return f"{topic}/0/{offset}"


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
def ledger(lists: Lists) -> Iterator[Ledger]:
    with Ledger(USERS, RUN, lists, lists) as ledger:
        yield ledger


def user(number: int, **other: Any) -> User:
    fields = {"first_name": "Afşar", "last_name": "Adıvar", "email": "a@example.com", "username": "bigcat"}
    return User(id=UUID(int=number), **{**fields, **other})


def test_published_record_is_in_flight(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    account = ledger.refresh()
    assert (account.acknowledged, account.in_flight, account.settled) == (1, 1, 0)


def test_record_with_its_row_is_stored(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1))
    account = ledger.refresh()
    assert account.stored == 1
    assert account.balances(fetched=1)


def test_row_with_another_value_is_not_stored(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1), last_name="Adivar")
    assert ledger.refresh().in_flight == 1
    assert "last_name differs" in ledger.in_flight_examples()
    assert "Adivar" not in ledger.in_flight_examples()


def test_row_with_a_value_where_the_record_has_none_is_not_stored(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1), phone="null")
    assert ledger.refresh().in_flight == 1


def test_row_of_an_older_record_is_not_stored(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1), at_ms=AT_MS - 1)
    assert ledger.refresh().in_flight == 1


def test_row_of_a_newer_record_counts_as_stored(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1, last_name="Newer"), at_ms=AT_MS + 1)
    assert ledger.refresh().stored == 1


def test_absent_field_may_keep_an_older_value(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1), phone="old")
    written_us = {**lists.table[UUID(int=1)].written_us, "phone": (AT_MS - 1) * 1_000}
    lists.table[UUID(int=1)] = Row(lists.table[UUID(int=1)].values, written_us)
    assert ledger.refresh().stored == 1


def test_rejected_message_is_dead_lettered(lists: Lists, ledger: Ledger) -> None:
    lists.reject(lists.publish(b"not json", "1/0"))
    assert ledger.refresh().dead_lettered == 1


def test_letter_written_twice_counts_once(lists: Lists, ledger: Ledger) -> None:
    origin = lists.publish(b"not json", "1/0")
    lists.reject(origin)
    lists.reject(origin)
    assert ledger.refresh().balances(fetched=1)


def test_letter_read_before_its_message_counts(lists: Lists, ledger: Ledger) -> None:
    lists.reject(f"{USERS.topic}/0/0")
    assert ledger.refresh().settled == 0
    lists.publish(b"not json", "1/0")
    assert ledger.refresh().dead_lettered == 1


def test_item_rejected_at_ingest_is_dead_lettered_but_not_acknowledged(lists: Lists, ledger: Ledger) -> None:
    lists.reject_at_ingest("1/0")
    account = ledger.refresh()
    assert (account.acknowledged, account.dead_lettered) == (0, 1)


def test_item_published_again_by_a_retry_counts_once(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0", at_ms=AT_MS)
    lists.publish(to_bytes(user(1)), "1/0", at_ms=AT_MS + 5)
    lists.store(user(1), at_ms=AT_MS + 5)
    account = ledger.refresh()
    assert (account.acknowledged, account.stored, account.repeated) == (1, 1, 1)


def test_two_items_with_one_id_are_two_of_the_equation(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(user(1)), "2/0")
    lists.store(user(1))
    account = ledger.refresh()
    assert (account.stored, account.duplicates, account.repeated) == (2, 1, 0)


def test_messages_of_another_run_do_not_count(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0", run="another")
    lists.reject(f"{USERS.topic}/0/0", run="another")
    assert ledger.refresh() == Account(RUN, 0, 0, 0, 0, 0, 0)


def test_all_runs_are_followed_in_one_reading(lists: Lists) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(b"not json", "1/0", run="another")
    lists.reject(f"{USERS.topic}/0/1", run="another")
    with Ledger(USERS, None, lists, lists) as ledger:
        accounts = ledger.refresh_all()
    assert (accounts[RUN].in_flight, accounts["another"].dead_lettered) == (1, 1)


def test_record_that_the_stream_passed_is_lost(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(user(2)), "1/1")
    account = ledger.refresh({0: 0})
    assert (account.in_flight, account.lost) == (2, 1)


def test_resolved_letter_whose_replay_is_stored_counts_once(lists: Lists, ledger: Ledger) -> None:
    lists.reject(lists.publish(b"not json", "1/0"))
    identity = letter_id(f"{USERS.topic}/0/0".encode(), b"not json")
    lists.replay(to_bytes(user(1)), "1/0", identity)
    lists.resolve(identity)
    lists.store(user(1), at_ms=AT_MS - 5)
    account = ledger.refresh()
    assert (account.acknowledged, account.stored, account.dead_lettered, account.repeated) == (1, 1, 0, 0)


def test_refresh_follows_the_run(lists: Lists, ledger: Ledger) -> None:
    for number in range(1_200):
        lists.publish(to_bytes(user(number)), f"1/{number}")
    assert ledger.refresh().in_flight == 1_200
    for number in range(1_199):
        lists.store(user(number))
    account = ledger.refresh()
    assert (account.stored, account.in_flight) == (1_199, 1)
    assert str(UUID(int=1_199)) in ledger.in_flight_examples()


def test_a_backlog_is_looked_up_once_not_once_a_batch(lists: Lists, ledger: Ledger) -> None:
    for number in range(2_500):
        lists.publish(to_bytes(user(number)), str(number))
    assert ledger.refresh().in_flight == lists.looked_up == 2_500


def test_equation_is_written_out() -> None:
    account = Account(RUN, acknowledged=3, stored=2, dead_lettered=1, in_flight=0, duplicates=0, repeated=0)
    assert account.equation(3) == "fetched 3 = stored 2 + dead-lettered 1"


def test_equation_that_does_not_hold_says_so() -> None:
    account = Account(RUN, acknowledged=3, stored=2, dead_lettered=1, in_flight=1, duplicates=0, repeated=0)
    assert account.equation(5) == "fetched 5 ≠ stored 2 + dead-lettered 1 + in flight 1"
    assert not account.balances(3)


def test_received_message_knows_its_moment_and_origin() -> None:
    message = Received("t", 2, 7, None, None, {}, AT_MS)
    assert message.timestamp == datetime(2025, 3, 12, 14, 30, 0, 123_000, tzinfo=UTC)
    assert message.origin == "t/2/7"


class Restarted(Lists):
    """Its table cannot be reached once."""

    def rows(self, pipeline: Pipeline, ids: Iterable[Any]) -> Iterator[Row]:
        if not self.looked_up:
            self.looked_up = 1
            raise StoreError("it was restarted")
        return super().rows(pipeline, ids)


def test_look_after_one_that_failed_midway_counts_every_message_once() -> None:
    lists, people = Restarted(), 1_500
    for number in range(people):
        lists.publish(to_bytes(user(number)), f"1/{number}")
    with Ledger(USERS, RUN, lists, lists) as ledger:
        with pytest.raises(StoreError):
            ledger.refresh()
        account = ledger.refresh()
    assert (account.acknowledged, account.in_flight, account.duplicates) == (people, people, 0)
