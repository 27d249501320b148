"""Whatever the API does: nothing is lost or invented, pauses are kept, memory is bounded, the next attempt succeeds."""

import socket
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest

from penstock.config import SourceSettings
from penstock.errors import SourceAnswerError, SourceError, SourceUnavailableError
from penstock.ingest import IngestReport, Run, ingest
from penstock.kafka import Message, Receipts
from penstock.pipelines.record import Header
from penstock.simulator import Fault, Faults, Plan, Simulator
from penstock.simulator import faults as spoil
from penstock.simulator.plan import ENDING, LYING, PASSING
from penstock.source import Interval
from penstock.source.api import Api
from penstock.source.pace import Clock
from penstock.users import USERS

MEBIBYTE = 1024 * 1024
NOW = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
RUN_OF = Interval(NOW)
SMALL = replace(USERS.source, paging=replace(USERS.source.paging, size=10))
RUN = Run(USERS, "r")
RECORDS = 35
ATTEMPTS = 8


class Shelf:
    """Keeps and acknowledges what is published."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def publish(self, messages: Iterable[Message], on_progress: Callable[[int], None]) -> Receipts:
        sent = Counter[str]()
        for message in messages:
            self.messages.append(message)
            sent[message.topic] += 1
        return Receipts(sent.total(), sent.total(), 0, sent)

    def items(self, topic: str = USERS.topic) -> dict[str, tuple[bytes | None, bytes]]:
        """Item of the run -> key and value, of the last message of each; all of an item are the same."""
        return {m.headers[Header.ITEM]: (m.key, m.value) for m in self.messages if m.topic == topic}


def try_run(url: str, shelf: Shelf, waits: list[float] | None = None, **settings: float) -> IngestReport:
    """One attempt of the task: it asks for 35 records on four pages, and sleeps on paper only."""
    chosen = SourceSettings.model_validate({"attempts": ATTEMPTS, **settings})
    clock = Clock(sleep_s=([] if waits is None else waits).append, chance=lambda: 0.5)
    with Api(SMALL, chosen, address=url, clock=clock) as api:
        return ingest(RUN, api.pages(RUN_OF, RECORDS), shelf)


def patience_s(fault: str) -> float:
    """How long to wait for a byte: only silence needs to be short, and no busy machine is that slow otherwise."""
    return 0.4 if fault == "silent" else 20


@pytest.fixture(scope="module")
def truth() -> dict[str, tuple[bytes | None, bytes]]:
    """What a run publishes on a good day."""
    shelf = Shelf()
    with Simulator() as simulator:
        try_run(simulator.url, shelf)
    assert len(shelf.items()) == RECORDS
    return shelf.items()


@contextmanager
def deaf_address() -> Iterator[str]:
    """An address where the connection is never made: the queue of those that wait is full, and nobody takes any."""
    with ExitStack() as closing:
        listener = closing.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = closing.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/"


def second_page(fault: Fault, times: int) -> Faults:
    """Meets the requests after the first one this often."""
    return lambda request: fault if 1 < request <= 1 + times else None


# --- what passes ---


@pytest.mark.parametrize("name", PASSING)
def test_fault_that_passes_costs_a_pause_and_nothing_else(name: str, truth: dict[str, object]) -> None:
    shelf, waits = Shelf(), list[float]()
    with Simulator(faults=second_page(PASSING[name], 1)) as simulator:
        report = try_run(simulator.url, shelf, waits, read_timeout_s=patience_s(name))
        assert simulator.requests == 4 + len(waits)
    assert (report.fetched, report.acknowledged) == (RECORDS, RECORDS)
    assert shelf.items() == truth
    assert len(shelf.messages) == RECORDS
    assert len(waits) == (0 if name == "dripping" else 1)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("429 and seconds", 1, 1), ("429 and a date", 0, 2), ("429", 10, 10), ("503", 0.5, 0.5), ("silent", 0.5, 0.5)],
)
def test_pause_is_the_one_that_is_asked_for(name: str, least: float, most: float) -> None:
    waits: list[float] = []
    with Simulator(faults=spoil.first(PASSING[name])) as simulator:
        try_run(simulator.url, Shelf(), waits, read_timeout_s=patience_s(name))
    assert [least <= wait <= most for wait in waits] == [True]


@pytest.mark.parametrize("name", [name for name in PASSING if name != "dripping"])
def test_fault_that_stays_ends_the_try_plainly_and_the_next_try_completes_the_run(
    name: str, truth: dict[str, object]
) -> None:
    shelf, waits = Shelf(), list[float]()
    with Simulator(faults=second_page(PASSING[name], ATTEMPTS)) as simulator:
        with pytest.raises(SourceError, match=r"8 attempts") as caught:
            try_run(simulator.url, shelf, waits, read_timeout_s=patience_s(name))
        assert "page=2&results=10" in str(caught.value)
        assert (simulator.requests, len(waits)) == (1 + ATTEMPTS, ATTEMPTS - 1)
        before = shelf.items()
        assert len(before) == 10
        try_run(simulator.url, shelf)
    assert shelf.items() == truth
    assert all(truth[item] == sent for item, sent in before.items())


def test_connection_that_is_never_made_is_given_up() -> None:
    waits: list[float] = []
    with deaf_address() as url, pytest.raises(SourceUnavailableError, match="ConnectTimeout"):
        try_run(url, Shelf(), waits, connect_timeout_s=0.05, attempts=3)
    assert waits == [0.5, 1.0]


def test_drip_that_does_not_end_is_given_up() -> None:
    with Simulator(faults=spoil.always(spoil.dripping(500, pause_s=0.001))) as simulator:
        settings = SourceSettings(attempts=2)
        clock = Clock(monotonic_s=count(0.0, step=1.0).__next__, sleep_s=lambda _: None)
        with (
            Api(SMALL, settings, address=simulator.url, clock=clock) as api,
            pytest.raises(SourceUnavailableError, match="120 s") as caught,
        ):
            next(api.pages(RUN_OF, RECORDS))
    assert "and more was to come" in str(caught.value)


# --- what ends an attempt ---


@pytest.mark.parametrize("name", ENDING)
def test_fault_that_asking_again_cannot_mend_ends_the_try_and_the_next_one_completes_the_run(
    name: str, truth: dict[str, object]
) -> None:
    shelf, waits = Shelf(), list[float]()
    with Simulator(faults=second_page(ENDING[name], 1)) as simulator:
        with pytest.raises(SourceAnswerError, match=r"max_response_bytes|no redirect is followed"):
            try_run(simulator.url, shelf, waits)
        assert (simulator.requests, waits, len(shelf.items())) == (2, [], 10)
        try_run(simulator.url, shelf)
    assert shelf.items() == truth


@pytest.mark.parametrize("name", [name for name in ENDING if name != "moved"])
def test_gigabyte_costs_no_more_memory_than_the_limit(name: str) -> None:
    with Simulator(faults=spoil.always(ENDING[name])) as simulator:
        tracemalloc.start()
        try:
            with pytest.raises(SourceAnswerError):
                try_run(simulator.url, Shelf())
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 40 * MEBIBYTE
    assert SourceSettings().max_response_bytes == 16 * MEBIBYTE


def test_nobody_is_asked_where_a_redirect_points() -> None:
    with Simulator() as other, Simulator(faults=spoil.always(spoil.moved(other.url))) as simulator:
        with pytest.raises(SourceAnswerError, match=f"to {other.url}: no redirect is followed"):
            try_run(simulator.url, Shelf())
        assert other.requests == 0


# --- what nobody can see through ---


def test_bad_person_among_good_ones_is_one_dead_letter(truth: dict[str, object]) -> None:
    shelf = Shelf()
    with Simulator(faults=second_page(spoil.bad_person, 1)) as simulator:
        report = try_run(simulator.url, shelf)
        url = f"{simulator.url}?seed={RUN_OF.seed}&page=2&results=10"
    assert (report.fetched, report.acknowledged, report.rejected) == (35, 34, 1)
    assert shelf.items() == {item: sent for item, sent in truth.items() if item != "2/9"}
    [letter] = [message for message in shelf.messages if message.topic == USERS.dead_letter_topic]
    assert (letter.headers[Header.ORIGIN_URL], letter.headers[Header.ORIGIN_INDEX]) == (url, "9")
    assert letter.headers[Header.REASON] == "missing_field"


def test_people_that_come_twice_are_published_twice_under_one_key() -> None:
    shelf = Shelf()
    with Simulator(faults=second_page(spoil.page_before, 1)) as simulator:
        report = try_run(simulator.url, shelf)
    assert (report.fetched, report.acknowledged, len(shelf.items())) == (RECORDS, RECORDS, RECORDS)
    assert len({message.key for message in shelf.messages}) == RECORDS - 10


# --- a whole day from a seed ---


def complete(plan: Plan) -> tuple[Shelf, int, int]:
    """What a run has published when an attempt succeeded: (shelf, attempts, requests). Every attempt asks for all."""
    shelf = Shelf()
    with Simulator(faults=plan) as simulator:
        for number in range(1, 60):
            try:
                try_run(simulator.url, shelf, read_timeout_s=0.5)
            except SourceAnswerError:
                continue
            return shelf, number, simulator.requests
    raise AssertionError("no attempt succeeded")


@pytest.mark.parametrize("seed", range(6))
def test_day_of_many_faults_loses_and_invents_nothing(seed: int, truth: dict[str, tuple[bytes, bytes]]) -> None:
    shelf, _, requests = complete(Plan(seed))
    met = {Plan(seed).name(request) for request in range(1, requests + 1)}
    sent, letters = shelf.items(), shelf.items(USERS.dead_letter_topic)
    assert sent.keys() | letters.keys() == truth.keys()
    assert {value for _, value in sent.values()} <= {value for _, value in truth.values()}
    if not met & {"page before"}:
        assert sent == {item: truth[item] for item in sent}
    assert bool(letters) <= ("one bad person" in met)


def test_same_seed_gives_the_same_day() -> None:
    days = [[Plan(seed).name(request) for request in range(1, 500)] for seed in (1, 1, 2)]
    assert days[0] == days[1] != days[2]
    assert set(days[0]) - {""} == PASSING.keys() | ENDING.keys() | LYING.keys()
    assert all(day[3::4] == [""] * len(day[3::4]) for day in days)
