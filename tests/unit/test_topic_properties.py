"""What is wrong with a topic, from its properties; no broker is needed."""

import pytest

from penstock.config import KafkaSettings
from penstock.kafka.properties import Flaw, flaws, wanted
from penstock.users import USERS

HOUR_MS = 3_600_000
TOPIC, LETTERS = wanted(USERS, KafkaSettings(replication_factor=3))
KAFKAS_OWN = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "retention.bytes": "-1",
    "retention.ms": str(168 * HOUR_MS),
    "unclean.leader.election.enable": "false",
}
"""Defaults of a broker, for a topic that somebody else made."""


def found(property_name: str, value: object, *, letters: bool = False, copies: int = 3) -> list[Flaw]:
    """What is wrong with one of our topics in which one property was changed."""
    topic = LETTERS if letters else TOPIC
    return list(flaws(topic, {**topic.configuration, property_name: str(value)}, copies))


def test_nothing_is_wrong_with_topics_as_we_make_them() -> None:
    assert [*flaws(TOPIC, TOPIC.configuration, 3), *flaws(LETTERS, LETTERS.configuration, 3)] == []


@pytest.mark.parametrize(
    ("name", "value", "letters"),
    [
        ("message.timestamp.type", "LogAppendTime", False),
        ("cleanup.policy", "compact", False),
        ("cleanup.policy", "compact,delete", False),
        ("cleanup.policy", "delete,compact", True),
        ("min.insync.replicas", 4, False),
        ("min.insync.replicas", 4, True),
        ("retention.ms", HOUR_MS - 1, False),
        ("retention.ms", 60_000, True),
    ],
)
def test_what_breaks_the_promise_is_named_with_its_remedy(name: str, value: object, letters: bool) -> None:
    [flaw] = found(name, value, letters=letters)
    topic = LETTERS if letters else TOPIC
    assert flaw.breaks
    assert flaw.what.startswith(f"{name} is {value}: ")
    assert flaw.fix.endswith(f"--entity-name {topic.name} --add-config {name}={topic.configuration[name]}")


@pytest.mark.parametrize(
    ("name", "value", "letters", "says"),
    [
        ("retention.ms", 24 * HOUR_MS, False, "24 hours, kafka.retention_hours asks for 168"),
        ("retention.ms", 168 * HOUR_MS, True, "the only copy of its record"),
        ("retention.bytes", 1_000_000, False, "read or not"),
        ("retention.bytes", 1_000_000, True, "the only copy of its record"),
        ("max.message.bytes", 1_048_588, False, "a run with a larger record fails"),
        ("max.message.bytes", 1_048_588, True, "holds up the stream"),
        ("min.insync.replicas", 1, False, "before 2 brokers have it"),
        ("unclean.leader.election.enable", "true", False, "then they are lost"),
    ],
)
def test_what_may_cost_something_is_told(name: str, value: object, letters: bool, says: str) -> None:
    [flaw] = found(name, value, letters=letters)
    assert (flaw.breaks, says in flaw.what) == (False, True)
    assert f"--add-config {name}=" in flaw.fix


@pytest.mark.parametrize(
    ("name", "value", "letters"),
    [
        ("message.timestamp.type", "LogAppendTime", True),
        ("retention.ms", -1, False),
        ("retention.ms", 24 * 365 * HOUR_MS, False),
        ("max.message.bytes", 64 * 1024 * 1024, False),
        ("cleanup.policy", "", False),
    ],
)
def test_what_changes_nothing_is_left_alone(name: str, value: object, letters: bool) -> None:
    assert found(name, value, letters=letters) == []


def test_one_copy_is_in_sync_with_itself() -> None:
    assert found("min.insync.replicas", 1, copies=1) == []
    [flaw] = found("unclean.leader.election.enable", "true", copies=1)
    assert flaw.what == "min.insync.replicas is 2: a partition has 1 copies, so no message is ever acknowledged"
    assert flaw.fix.endswith("min.insync.replicas=1")


def test_topics_with_the_defaults_of_a_broker_are_taken() -> None:
    said = [flaw for topic in (TOPIC, LETTERS) for flaw in flaws(topic, KAFKAS_OWN, copies=3)]
    assert [flaw for flaw in said if flaw.breaks] == []
    assert {flaw.what.partition(" ")[0] for flaw in said} == {
        "max.message.bytes",
        "min.insync.replicas",
        "retention.ms",
    }


def test_broker_that_does_not_know_a_property_is_no_problem() -> None:
    assert [*flaws(TOPIC, {}, copies=1), *flaws(LETTERS, {}, copies=1)] == []
