"""Which trials a run plays: a function of the seed, so that a run that was stopped can be gone on with."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tests.faults.kinds import Fault


@dataclass(frozen=True)
class Trial:
    """One trial of a series."""

    number: int
    fault: Fault
    seed: int


def rounds(faults: Sequence[Fault], seed: int, count: int) -> Iterator[Trial]:
    """Each fault in its turn, so many times; all of one round have one seed."""
    for number in range(count * len(faults)):
        turn, place = divmod(number, len(faults))
        yield Trial(number, faults[place], seed + turn)


def series(faults: Sequence[Fault], seed: int, count: int) -> Iterator[Trial]:
    """So many trials: each fault equally often, in an order that the seed decides, with a seed of its own."""
    for number in range(count):
        turn, place = divmod(number, len(faults))
        deck = Random(f"{seed}/{turn}").sample(list(faults), len(faults))
        yield Trial(number, deck[place], seed + number)


def left(trials: Iterator[Trial], done: Collection[int]) -> list[Trial]:
    """Those whose number is not among the ones that were played."""
    return [one for one in trials if one.number not in done]
