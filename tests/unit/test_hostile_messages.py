"""Whatever bytes stand in a Kafka value: a record, or a reason with the same bytes; never an exception."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.pipelines.record import (
    DEEPEST_NESTING,
    LARGEST_VALUE_BYTES,
    Reason,
    Rejected,
    from_bytes,
    to_bytes,
)
from penstock.users import USERS
from tests.hostile import KINDS, corpus, encoded, user

GOOD = encoded(user(Random(1)))


def reason_of(value: bytes | None, version: str | None = None) -> Reason | None:
    answer = from_bytes(USERS, value, version)
    return answer.reason if isinstance(answer, Rejected) else None


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_has_its_reason_and_keeps_its_bytes(seed: int) -> None:
    for message in corpus(seed, 10 * len(KINDS)):
        assert (message.kind, message.judged(USERS)) == (message.kind, message.reason)
        answer = from_bytes(USERS, message.value)
        assert not isinstance(answer, Rejected) or answer.original == (message.value or b"")


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.binary(max_size=40))
def test_whatever_is_spliced_into_a_good_value_is_read_or_rejected(at: int, less: int, more: bytes) -> None:
    value = GOOD[:at] + more + GOOD[at + less :]
    answer = from_bytes(USERS, value)
    assert answer.original == value if isinstance(answer, Rejected) else from_bytes(USERS, to_bytes(answer)) == answer


@settings(deadline=None)
@given(st.text(max_size=12))
def test_version_is_a_number_up_to_the_declared_one(version: str) -> None:
    assert (reason_of(GOOD, version) is None) == (version in ("", "1"))


@pytest.mark.parametrize(
    ("version", "known"), [(None, True), ("", True), ("1", True), ("3", True), ("4", False), ("0", False)]
)
def test_older_versions_are_judged_and_newer_ones_are_not(version: str | None, known: bool) -> None:
    third = USERS.model_copy(update={"version": 3})
    assert (not isinstance(from_bytes(third, GOOD, version), Rejected)) == known


def test_message_without_a_value_but_of_an_unknown_version_is_of_an_unknown_version() -> None:
    assert reason_of(None, "7") is Reason.UNKNOWN_VERSION


@pytest.mark.parametrize(
    ("depth", "reason"),
    [(DEEPEST_NESTING, Reason.NOT_AN_OBJECT), *((more, Reason.MALFORMED_JSON) for more in (101, 250, 900, 100_000))],
)
def test_nesting_has_a_limit(depth: int, reason: Reason) -> None:
    assert reason_of(b"[" * depth + b"]" * depth) is reason


def test_size_has_a_limit() -> None:
    padded = GOOD + b" " * (LARGEST_VALUE_BYTES - len(GOOD))
    assert (reason_of(padded), reason_of(padded + b" ")) == (None, Reason.INVALID_VALUE)
