"""The account of a run, over topics and a table that are lists in memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest

from penstock.audit.ledger import Account, Ledger
from penstock.cassandra import Row
from penstock.errors import StoreError
from penstock.kafka import Offsets, Received
from penstock.pipelines.contract import From, Pipeline, Record
from penstock.pipelines.record import Header, letter_id, to_bytes
from penstock.users import USERS, User

RUN = "manual__2025-03-12"
AT_MS = 1_741_789_800_123


class Lists:
    """Two topics and a table. A topic has one partition, until a message is published to another one."""

    def __init__(self) -> None:
        self.topics: dict[str, dict[int, list[Received]]] = {USERS.topic: {0: []}, USERS.dead_letter_topic: {0: []}}
        self.table: dict[UUID, Row] = {}
        self.looked_up = 0
        self.expired: int | None = None
        self.before_reading: Callable[[str], object] = lambda _topic: None

    def offsets(self, topic: str) -> dict[int, Offsets]:
        return {number: Offsets(0, len(messages)) for number, messages in self.topics[topic].items()}

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]:
        self.before_reading(topic)
        for number, messages in self.topics[topic].items():
            if end is None or number in end:
                yield from messages[(start or {}).get(number, 0) : (end or {}).get(number)]

    def rows(self, pipeline: Pipeline, ids: Iterable[Any]) -> Iterator[Row]:
        wanted = list(ids)
        self.looked_up += len(wanted)
        return (self.table[key] for key in wanted if key in self.table)

    def expired_ms(self, pipeline: Pipeline) -> int | None:
        return self.expired

    def publish(self, value: bytes, item: str, *, run: str = RUN, at_ms: int = AT_MS, partition: int = 0) -> str:
        return self._append(USERS.topic, None, value, {Header.RUN: run, Header.ITEM: item}, at_ms, partition)

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

    def _append(
        self, topic: str, key: bytes | None, value: bytes, headers: Mapping[Any, str], at_ms: int, partition: int = 0
    ) -> str:
        messages = self.topics[topic].setdefault(partition, [])
        messages.append(Received(topic, partition, len(messages), key, value, headers, at_ms))
        return messages[-1].origin


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
def ledger(lists: Lists) -> Iterator[Ledger]:
    with Ledger(USERS, RUN, lists, lists) as ledger:
        yield ledger


@pytest.fixture
def kept(lists: Lists) -> Iterator[Ledger]:
    with Ledger(USERS.model_copy(update={"absent": "keep"}), RUN, lists, lists) as ledger:
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


def leave(lists: Lists, number: int, column: str, value: str, at_ms: int) -> None:
    """A cell of the row with a write time of its own."""
    row = lists.table[UUID(int=number)]
    lists.table[UUID(int=number)] = Row({**row.values, column: value}, {**row.written_us, column: at_ms * 1_000})


def unset(lists: Lists, number: int, column: str) -> None:
    row = lists.table[UUID(int=number)]
    written_us = {name: at for name, at in row.written_us.items() if name != column}
    lists.table[UUID(int=number)] = Row({**row.values, column: None}, written_us)


def test_absent_field_clears_an_older_value(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1))
    leave(lists, 1, "phone", "old", AT_MS - 1)
    assert ledger.refresh({0: 0}).lost == 1
    assert "phone is still set" in ledger.lost_examples(RUN)
    unset(lists, 1, "phone")
    assert ledger.refresh({0: 0}).stored == 1


def test_absent_field_keeps_an_older_value_where_that_is_declared(lists: Lists, kept: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1))
    leave(lists, 1, "phone", "old", AT_MS - 1)
    assert kept.refresh().stored == 1


def test_absent_field_leaves_a_newer_value_alone(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1, phone="new"), at_ms=AT_MS + 1)
    assert ledger.refresh().stored == 1


@pytest.mark.parametrize("run", [RUN, "another"])
def test_value_that_a_newer_record_cleared_was_stored(lists: Lists, ledger: Ledger, run: str) -> None:
    lists.publish(to_bytes(user(1, phone="old")), "1/0")
    lists.publish(to_bytes(user(1)), "2/0", run=run, at_ms=AT_MS + 1)
    lists.store(user(1), at_ms=AT_MS + 1)
    account = ledger.refresh({0: 1})
    assert (account.stored, account.lost) == (2 if run == RUN else 1, 0)


def test_value_that_nobody_cleared_is_lost(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1, phone="there")), "1/0")
    lists.store(user(1, phone="there"))
    unset(lists, 1, "phone")
    leave(lists, 1, "gender", "of somebody else", AT_MS + 1)
    assert ledger.refresh({0: 0}).lost == 1
    assert "phone is not set" in ledger.lost_examples(RUN)


def test_value_that_a_newer_record_would_not_clear_is_lost(lists: Lists, kept: Ledger) -> None:
    lists.publish(to_bytes(user(1, phone="there")), "1/0")
    lists.publish(to_bytes(user(1)), "2/0", at_ms=AT_MS + 1)
    lists.store(user(1), at_ms=AT_MS + 1)
    assert kept.refresh({0: 1}).lost == 1


def test_of_two_records_of_one_millisecond_the_one_that_is_not_there_is_lost(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1, phone="there")), "1/0")
    lists.publish(to_bytes(user(1)), "1/1")
    lists.store(user(1))
    account = ledger.refresh({0: 1})
    assert (account.stored, account.lost) == (1, 1)


class Note(Record):
    """A record without a required field but its key."""

    id: Annotated[UUID, From("id")]
    text: Annotated[str | None, From("text")] = None
    colour: Annotated[str | None, From("colour")] = None


NOTES = USERS.model_copy(update={"record": Note})


def notes(lists: Lists, *published: Note) -> Account:
    """The account where the newest of these is what stands in the table."""
    for number, note in enumerate(published):
        lists.publish(to_bytes(note), str(number), at_ms=AT_MS + number)
    newest = published[-1].model_dump(exclude={"id"}, exclude_none=True)
    at_us = (AT_MS + len(published) - 1) * 1_000
    lists.table[published[-1].id] = Row(
        {"id": published[-1].id, "text": None, "colour": None} | newest, dict.fromkeys(newest, at_us)
    )
    with Ledger(NOTES, RUN, lists, lists) as ledger:
        return ledger.refresh({0: 99})


def test_record_of_which_nothing_is_left_was_stored_if_a_newer_one_is_known(lists: Lists) -> None:
    key = UUID(int=1)
    account = notes(lists, Note(id=key, text="a"), Note(id=key, colour="b"), Note(id=key))
    assert (account.stored, account.lost) == (3, 0)


def test_record_of_which_nothing_is_left_is_lost_if_it_is_the_newest(lists: Lists) -> None:
    lists.publish(to_bytes(Note(id=UUID(int=1), text="a")), "new", at_ms=AT_MS + 9)
    assert notes(lists, Note(id=UUID(int=1))).lost == 1


def test_row_past_the_tables_ttl_is_not_lost(lists: Lists, ledger: Ledger) -> None:
    lists.expired = AT_MS
    lists.publish(to_bytes(user(1)), "1/0")
    account = ledger.refresh({0: 0})
    assert (account.past_ttl, account.lost, account.in_flight) == (1, 0, 0)
    assert account.equation(1) == "fetched 1 = stored 0 + dead-lettered 0 + past TTL 1"


def test_row_that_has_some_time_to_live_is_lost(lists: Lists, ledger: Ledger) -> None:
    lists.expired = AT_MS - 1
    lists.publish(to_bytes(user(1)), "1/0")
    assert (ledger.refresh({0: 0}).past_ttl, ledger.refresh({0: 0}).lost) == (0, 1)


def test_old_message_that_the_stream_has_yet_to_reach_is_in_flight(lists: Lists, ledger: Ledger) -> None:
    lists.expired = AT_MS
    lists.publish(to_bytes(user(1)), "1/0")
    assert (ledger.refresh().past_ttl, ledger.refresh().in_flight) == (0, 1)


def test_wrong_value_is_lost_however_old_it_is(lists: Lists, ledger: Ledger) -> None:
    lists.expired = AT_MS
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1), last_name="Adivar")
    assert (ledger.refresh({0: 0}).past_ttl, ledger.refresh({0: 0}).lost) == (0, 1)


def test_item_published_again_within_the_ttl_is_lost(lists: Lists, ledger: Ledger) -> None:
    lists.expired = AT_MS
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(user(1)), "1/0", at_ms=AT_MS + 1)
    assert (ledger.refresh({0: 1}).past_ttl, ledger.refresh({0: 1}).lost) == (0, 1)


def test_value_that_expired_alone_is_past_its_ttl(lists: Lists, kept: Ledger) -> None:
    lists.expired = AT_MS
    lists.publish(to_bytes(user(1, phone="old")), "1/0")
    lists.store(user(1), at_ms=AT_MS + 1)
    assert kept.refresh({0: 0}).past_ttl == 1


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


def test_item_of_which_a_retry_fetched_another_record_is_stored_when_both_are(lists: Lists, ledger: Ledger) -> None:
    for number in (1, 2):
        lists.publish(to_bytes(user(number)), "1/0")
        lists.store(user(number))
    account = ledger.refresh({0: 1})
    assert (account.stored, account.in_flight, account.duplicates, account.repeated) == (1, 0, 0, 1)


@pytest.mark.parametrize("stored", [1, 2])
def test_item_of_which_a_retry_fetched_another_record_is_lost_with_either(
    lists: Lists, ledger: Ledger, stored: int
) -> None:
    for number in (1, 2):
        lists.publish(to_bytes(user(number)), "1/0")
    lists.store(user(stored))
    account = ledger.refresh({0: 1})
    assert (account.stored, account.in_flight, account.lost) == (0, 1, 1)
    assert str(UUID(int=3 - stored)) in ledger.lost_examples(RUN)


def test_item_whose_newer_values_were_lost_is_lost(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(user(1, last_name="Newer")), "1/0", at_ms=AT_MS + 5)
    lists.store(user(1))
    assert (ledger.refresh({0: 0}).in_flight, ledger.refresh({0: 1}).lost) == (1, 1)


def test_item_of_which_one_record_expired_and_another_did_not_is_stored(lists: Lists, ledger: Ledger) -> None:
    lists.expired = AT_MS
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(user(2)), "1/0", at_ms=AT_MS + 1)
    lists.store(user(2), at_ms=AT_MS + 1)
    account = ledger.refresh({0: 1})
    assert (account.stored, account.past_ttl, account.in_flight) == (1, 0, 0)


def test_item_rejected_once_and_stored_once_is_stored(lists: Lists, ledger: Ledger) -> None:
    lists.reject(lists.publish(b"not json", "1/0"))
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1))
    account = ledger.refresh({0: 1})
    assert (account.stored, account.dead_lettered, account.in_flight) == (1, 0, 0)


def test_letter_whose_replay_the_stream_has_yet_to_reach_is_a_letter(lists: Lists, ledger: Ledger) -> None:
    lists.reject(lists.publish(b"not json", "1/0"))
    lists.replay(to_bytes(user(1)), "1/0", letter_id(f"{USERS.topic}/0/0".encode(), b"not json"))
    assert (ledger.refresh({0: 0}).dead_lettered, ledger.refresh({0: 0}).in_flight) == (1, 0)


def test_letter_whose_replay_was_lost_is_lost(lists: Lists, ledger: Ledger) -> None:
    lists.reject(lists.publish(b"not json", "1/0"))
    identity = letter_id(f"{USERS.topic}/0/0".encode(), b"not json")
    lists.replay(to_bytes(user(1)), "1/0", identity)
    lists.resolve(identity)
    assert (ledger.refresh({0: 1}).dead_lettered, ledger.refresh({0: 1}).lost) == (0, 1)


def test_values_newer_than_every_message_are_of_another_program(lists: Lists, ledger: Ledger) -> None:
    for number in (1, 2):
        lists.publish(to_bytes(user(number)), str(number))
        lists.store(user(number))
    leave(lists, 1, "last_name", "by hand", AT_MS + 7)
    assert ledger.refresh({0: 1}).stored == 2
    assert ledger.changed_elsewhere() == {RUN: (1, f"{UUID(int=1)} (last_name)")}


@pytest.mark.parametrize("run", [RUN, "another"])
def test_values_of_a_newer_message_are_the_streams(lists: Lists, ledger: Ledger, run: str) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(user(1, last_name="Newer")), "1/0", run=run, at_ms=AT_MS + 5)
    lists.store(user(1, last_name="Newer"), at_ms=AT_MS + 5)
    ledger.refresh({0: 1})
    assert ledger.changed_elsewhere() == {}


def test_values_of_a_message_that_came_during_the_account_are_the_streams(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1, last_name="Newer"), at_ms=AT_MS + 5)
    ledger.refresh({0: 0})
    lists.publish(to_bytes(user(1, last_name="Newer")), "1/0", at_ms=AT_MS + 5)
    assert ledger.changed_elsewhere() == {}


def test_without_a_suspicion_nothing_is_read_again(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.store(user(1))
    ledger.refresh({0: 0})
    lists.before_reading = pytest.fail
    assert ledger.changed_elsewhere() == {}


def test_write_time_before_1970_is_a_write_time(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1, phone="there")), "1/0", at_ms=-1_000)
    lists.store(user(1, phone="there"), at_ms=-1_000)
    assert ledger.refresh({0: 0}).stored == 1
    lists.publish(to_bytes(user(2)), "2/0", at_ms=-1_000)
    assert (ledger.refresh({0: 1}).past_ttl, ledger.refresh({0: 1}).lost) == (0, 1)


def test_column_that_is_not_set_is_no_newer_one_before_1970(lists: Lists) -> None:
    note = Note(id=UUID(int=1), text="a")
    lists.publish(to_bytes(note), "1/0", at_ms=-1_000)
    lists.table[note.id] = Row({"id": note.id, "text": None, "colour": None}, {})
    with Ledger(NOTES, RUN, lists, lists) as ledger:
        assert ledger.refresh({0: 0}).lost == 1


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


def test_record_in_a_partition_that_was_added_is_lost_as_in_any_other(lists: Lists, ledger: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    assert ledger.refresh({0: 0}).lost == 1
    lists.publish(to_bytes(user(2)), "1/1", partition=1)
    assert ledger.refresh({0: 0}).lost == 1
    assert ledger.refresh({0: 0, 1: 0}).lost == 2


def test_partition_that_is_added_in_mid_reading_is_read_once(lists: Lists, ledger: Ledger) -> None:
    def add(topic: str) -> None:
        if topic == USERS.topic:
            lists.publish(to_bytes(user(1)), "1/0", partition=1)
            lists.before_reading = lambda _topic: None

    lists.before_reading = add
    assert ledger.refresh().in_flight == 0
    assert ledger.refresh().in_flight == ledger.refresh().in_flight == 1


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


@pytest.mark.parametrize(("at_ms", "year"), [(AT_MS * 1_000, 9999), (2**63 - 1, 9999), (-(2**63), 1), (-1_000, 1969)])
def test_received_message_may_have_any_timestamp(at_ms: int, year: int) -> None:
    assert Received("t", 0, 0, None, None, {}, at_ms).timestamp.year == year


def test_message_with_the_brokers_time_is_no_record(lists: Lists, ledger: Ledger) -> None:
    origin = lists.publish(to_bytes(user(1)), "1/0")
    [message] = lists.topics[USERS.topic][0]
    lists.topics[USERS.topic][0] = [replace(message, is_brokers_time=True)]
    lists.store(user(1), at_ms=AT_MS + 9)
    assert ledger.refresh().in_flight == 1
    lists.reject(origin)
    assert ledger.refresh().dead_lettered == 1


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


class Gone(User):
    """A user who may say that they are gone."""

    gone_at: Annotated[str | None, From("gone_at")] = None


@pytest.fixture(params=["clear", "keep"])
def deleting(request: pytest.FixtureRequest, lists: Lists) -> Iterator[Ledger]:
    changes = {"record": Gone, "deleted": "gone_at", "absent": request.param}
    with Ledger(USERS.model_copy(update=changes), RUN, lists, lists) as ledger:
        yield ledger


def gone(number: int, **other: Any) -> Gone:
    return Gone(**{**user(number).model_dump(), "gone_at": "now", **other})


def test_a_record_whose_row_a_newer_one_removed_was_stored(lists: Lists, deleting: Ledger) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(gone(1)), "1/1", at_ms=AT_MS + 1)
    account = deleting.refresh({0: 1})
    assert (account.stored, account.in_flight, account.lost) == (2, 0, 0)


def test_of_a_record_and_a_deletion_of_one_write_time_the_deletion_wins(lists: Lists, deleting: Ledger) -> None:
    lists.publish(to_bytes(gone(1)), "1/0")
    lists.publish(to_bytes(user(1)), "1/1")
    assert deleting.refresh({0: 1}).stored == 2


def test_a_deletion_that_the_stream_has_not_passed_is_in_flight_though_there_is_no_row(
    lists: Lists, deleting: Ledger
) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(gone(1)), "1/1", at_ms=AT_MS + 1)
    assert (deleting.refresh().stored, deleting.refresh({0: -1}).stored) == (0, 0)
    account = deleting.refresh({0: 0})
    assert (account.stored, account.in_flight, account.lost) == (0, 2, 0)
    assert deleting.refresh({0: 1}).stored == 2


def test_a_row_that_should_be_removed_is_a_deletion_lost(lists: Lists, deleting: Ledger) -> None:
    lists.publish(to_bytes(gone(1)), "1/0")
    lists.store(user(1), at_ms=AT_MS - 1)
    assert deleting.refresh({0: 0}).lost == 1
    assert "email is still set" in deleting.lost_examples(RUN)


def test_what_is_newer_than_a_deletion_stays(lists: Lists, deleting: Ledger) -> None:
    lists.publish(to_bytes(gone(1)), "1/0")
    lists.publish(to_bytes(user(1)), "1/1", at_ms=AT_MS + 1)
    lists.store(user(1), at_ms=AT_MS + 1)
    assert deleting.refresh({0: 1}).stored == 2


def test_a_record_newer_than_the_deletion_that_is_not_there_is_lost(lists: Lists, deleting: Ledger) -> None:
    lists.publish(to_bytes(gone(1)), "1/0")
    lists.publish(to_bytes(user(1)), "1/1", at_ms=AT_MS + 1)
    account = deleting.refresh({0: 1})
    assert (account.stored, account.lost) == (1, 1)


def test_a_record_whose_row_another_run_removed_was_stored(lists: Lists, deleting: Ledger) -> None:
    """Whichever of both is published first: the older record may come late."""
    lists.publish(to_bytes(gone(1)), "1/0", run="another", at_ms=AT_MS + 5)
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(user(2)), "1/1")
    lists.publish(to_bytes(gone(2)), "1/1", run="another", at_ms=AT_MS + 5)
    accounts = deleting.refresh_all({0: 3})
    assert list(accounts) == [RUN]
    assert (accounts[RUN].acknowledged, accounts[RUN].stored, accounts[RUN].lost) == (2, 2, 0)


def test_a_record_is_in_flight_until_the_stream_has_passed_the_deletion_of_another_run(
    lists: Lists, deleting: Ledger
) -> None:
    lists.publish(to_bytes(user(1)), "1/0")
    lists.publish(to_bytes(gone(1)), "1/0", run="another", at_ms=AT_MS + 5)
    assert deleting.refresh({0: 0}).lost == 0
    assert deleting.in_flight_examples().count("no row") == 1
    assert deleting.refresh({0: 1}).stored == 1


def test_a_deletion_of_another_run_that_is_older_explains_nothing(lists: Lists, deleting: Ledger) -> None:
    lists.publish(to_bytes(gone(1)), "1/0", run="another", at_ms=AT_MS - 5)
    lists.publish(to_bytes(user(1)), "1/0")
    assert deleting.refresh({0: 1}).lost == 1


def test_what_is_no_record_may_be_in_flight_beside_a_deletion(lists: Lists, deleting: Ledger) -> None:
    lists.publish(b"{", "1/0")
    lists.publish(to_bytes(gone(1)), "1/1")
    assert deleting.refresh().in_flight == 2
