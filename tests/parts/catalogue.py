"""The parts of the tests, and which of them a run plays."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

THOROUGH = "thorough"
"""The pytest marker of tests that only `scripts/test-all` runs."""


@dataclass(frozen=True)
class Part:
    """One program of tests, with servers, ports and folders of its own: any two parts may run side by side."""

    name: str
    arguments: tuple[str, ...]
    """After `python -m`."""
    pytest: bool = True
    """Whether a single test of it may be attempted again; never the rounds of faults and the planted defects."""

    @property
    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-m", *self.arguments)


def _suite(name: str, *arguments: str) -> Part:
    return Part(name, ("pytest", *arguments))


_UNIT = _suite("unit", "tests/unit")
# The longest first, so that no processor is idle at the end.
_INTEGRATION = _suite("integration", "tests/integration")
_STREAMS = _suite("streams", "tests/streams")
_SERVICES = _suite("services", "tests/services", "--ignore=tests/services/launcher")
_SHORT = (
    _suite("spark", "tests/spark"),
    _suite("console", "tests/console"),
    _suite("launcher", "tests/services/launcher"),
    _suite("sources", "tests/sources"),
)
_CONTAINERS = _suite("containers", "tests/compose")


def parts(*, thorough: bool, containers: bool, unit: bool, seed: str) -> Sequence[Part]:
    """The parts of one run, in the order in which they begin.

    `thorough` has every round of faults, every planted defect and the tests that are marked so; else the rounds and the
    defects are drawn by the seed.
    """
    drawn = () if thorough else ("--drawn",)
    faults = Part("faults", ("tests.faults", "--with-defects", "--seed", seed, *drawn), pytest=False)
    late = ([_CONTAINERS] if containers else []) + ([_UNIT] if unit else [])
    chosen = (_INTEGRATION, _STREAMS, _SERVICES, faults, *late, *_SHORT)
    return tuple(_narrowed(part, thorough=thorough) for part in chosen)


def _narrowed(part: Part, *, thorough: bool) -> Part:
    if thorough or not part.pytest:
        return part
    return Part(part.name, (*part.arguments, "-m", f"not {THOROUGH}"))
