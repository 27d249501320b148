"""The arithmetic of the report. Pure."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        found = sorted(values)
        return cls(found[0], statistics.median(found), found[-1])


def interleaved(names: Sequence[str], rounds: int) -> list[list[str]]:
    """A B C, C B A, A B C …: what drifts while the rounds run, drifts for all."""
    return [list(names if number % 2 == 0 else reversed(names)) for number in range(rounds)]


def turns(names: Sequence[str], rounds: int, first: Sequence[str] = ()) -> Iterator[tuple[str, str, bool]]:
    """(label, name, whether it counts): the `first` ones to warm up, then the rounds."""
    yield from (("warm-up", name, False) for name in first)
    for number, order in enumerate(interleaved(names, rounds), start=1):
        yield from ((f"round-{number}", name, True) for name in order)


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that at least `percent` of all values do not exceed. Never interpolated."""
    found = sorted(values)
    return found[max(0, math.ceil(len(found) * percent / 100) - 1)]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours by theirs, round by round: what slows the machine down for a while, slows both."""
    return Spread.of(one / other for one, other in zip(ours, theirs, strict=True))
