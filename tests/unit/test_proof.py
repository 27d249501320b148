"""The deep account without what was proved elsewhere, over lists in memory."""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from click.testing import CliRunner

from penstock.audit.ledger import Account
from penstock.audit.ledger.proof import Left, with_stored
from penstock.cli import cli
from penstock.kafka import Offsets, Received

TOPIC, LETTERS = "users", "users.dead-letters"
SPANS = {TOPIC: {0: Offsets(0, 300_000), 1: Offsets(5, 10)}, LETTERS: {0: Offsets(0, 3)}}


class Stored(NamedTuple):
    messages: int
    items: int
    keys: int


class Proof(NamedTuple):
    stored: Mapping[str, Stored]
    left: Mapping[int, Sequence[int]]


@dataclass
class Endless:
    """Topics with a message at each offset; `asked` has the spans that were read."""

    asked: list[tuple[int, int]] = field(default_factory=list)
    ends: Mapping[str, Mapping[int, int]] = field(
        default_factory=lambda: {TOPIC: {0: 300_002, 1: 10, 2: 1}, LETTERS: {0: 4}}
    )

    def offsets(self, topic: str) -> dict[int, Offsets]:
        raise AssertionError("the spans of the proof are asked for")

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]:
        for number, last in self.ends[topic].items():
            if end is None or number in end:
                span = ((start or {}).get(number, 0), (end or {}).get(number, last))
                self.asked.append(span)
                yield from (Received(topic, number, offset, None, None, {}, 0) for offset in range(*span))


def left_of(topics: Endless, **left: Sequence[int]) -> Left:
    return Left(topics, SPANS, TOPIC, Proof({}, {int(name[1:]): array("q", each) for name, each in left.items()}))


def places(found: Iterator[Received]) -> list[tuple[int, int]]:
    return [(message.partition, message.offset) for message in found]


def test_only_what_is_left_is_read() -> None:
    left = left_of(topics := Endless(), p0=[3, 7, 200_000], p1=[9])
    end = {number: span.end for number, span in left.offsets(TOPIC).items()}
    assert places(left.read(TOPIC, end=end)) == [(0, 3), (0, 7), (0, 200_000), (1, 9)]
    assert topics.asked == [(3, 8), (200_000, 200_001), (9, 10)]


def test_much_that_is_left_is_read_in_parts() -> None:
    left = left_of(topics := Endless(), p0=range(250_000))
    assert len(places(left.read(TOPIC, end={0: 300_000}))) == 250_000
    assert all(before[1] == after[0] for before, after in pairwise(topics.asked))
    assert max(last - first for first, last in topics.asked) == 100_000


def test_reading_on_gives_what_came_since() -> None:
    left = left_of(Endless(), p0=[3])
    assert places(left.read(TOPIC, start={0: 300_000, 1: 10})) == [(0, 300_000), (0, 300_001), (2, 0)]
    assert places(left.read(TOPIC)) == [(0, 3), (0, 300_000), (0, 300_001), (2, 0)]


def test_letters_are_all_left() -> None:
    assert places(left_of(Endless()).read(LETTERS, end={0: 3})) == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize("known", [True, False])
def test_accounts_of_both_parts_add_up(known: bool) -> None:
    judged = {"r": Account("r", 10, 4, 3, 3, 2, 1, lost=1, past_ttl=0)} if known else {}
    stored = {"r": Stored(messages=100, items=90, keys=80), "another": Stored(1, 1, 1)}
    assert with_stored(judged, stored).keys() == {"r", "another"}
    [found] = with_stored(judged, stored, "r").values()
    if known:
        assert found == Account("r", 100, 94, 3, 3, 12, 11, lost=1, past_ttl=0)
    else:
        assert found == Account("r", 90, 90, 0, 0, 10, 10)


def test_on_spark_is_a_way_of_the_deep_account(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["reconcile", "--on-spark"], env={"PENSTOCK_PROJECT": str(tmp_path)})
    assert done.exit_code == click.UsageError.exit_code
    assert "say --deep too" in done.stderr
