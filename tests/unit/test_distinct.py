"""Different things are counted exactly, however many they are."""

import pytest

from penstock.source.distinct import Distinct


@pytest.mark.parametrize("different", [0, 1, 1_000, 150_000])
def test_each_different_one_counts_once(different: int) -> None:
    with Distinct() as distinct:
        for _ in range(2):
            for first in range(0, different, 1_000):
                distinct.add(hash(str(number).encode()) for number in range(first, min(first + 1_000, different)))
        assert distinct.count() == different


@pytest.mark.parametrize("known", [10, 150_000])
def test_new_ones_are_told_without_being_added(known: int) -> None:
    with Distinct() as distinct:
        distinct.add(range(known))
        assert distinct.new_in([0, known - 1, known, known, known + 1]) == 2
        assert distinct.count() == known
