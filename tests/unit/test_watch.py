"""The watch over an epoch, with a clock of the test's own."""

from dataclasses import dataclass, field

import pytest

from penstock.errors import StalledError
from penstock.stream.stall import STALL_S, Watch


@dataclass
class Query:
    """A query as the watch sees it."""

    now_s: float = 0
    began_s: float | None = None
    jobs: list[int] = field(default_factory=list)

    def watch(self) -> Watch:
        return Watch("App", lambda: self.jobs, lambda: self.now_s)

    def passes(self, watch: Watch, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now_s += 1
            watch.look(self.began_s)


@pytest.fixture
def query() -> Query:
    return Query()


def test_an_epoch_without_a_job_is_a_stall(query: Query) -> None:
    watch, query.began_s = query.watch(), 0
    with pytest.raises(StalledError, match="App: an epoch is under way, and for 120 s Spark had no job"):
        query.passes(watch, STALL_S + 5)


def test_waiting_for_records_is_no_stall(query: Query) -> None:
    query.passes(query.watch(), 10 * STALL_S)


def test_a_long_job_is_no_stall(query: Query) -> None:
    watch, query.began_s, query.jobs = query.watch(), 0, [7]
    query.passes(watch, 10 * STALL_S)


def test_a_new_epoch_has_all_its_time(query: Query) -> None:
    watch, query.began_s = query.watch(), 0
    for _ in range(10):
        query.passes(watch, STALL_S / 2)
        query.began_s = query.now_s


def test_time_since_the_last_job_counts(query: Query) -> None:
    watch, query.began_s, query.jobs = query.watch(), 0, [7]
    query.passes(watch, 10 * STALL_S)
    query.jobs = []
    with pytest.raises(StalledError):
        query.passes(watch, STALL_S + 5)
