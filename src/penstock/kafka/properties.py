"""The properties that a topic needs for the promise to hold: how ours are made, and what is wrong with another.

Properties: https://kafka.apache.org/43/configuration/topic-configs/. Why these, and which are not looked at:
docs/decisions/183.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penstock.config import KafkaSettings
from penstock.kafka.client import LARGEST_LETTER_BYTES, LARGEST_MESSAGE_BYTES
from penstock.pipelines.contract import Pipeline

_HOUR_MS = 3_600_000
"""The least that `kafka.retention_hours` may ask for, and what a run has to arrive: its tasks' `execution_timeout`."""
_FOREVER = -1


@dataclass(frozen=True)
class Wanted:
    """A topic as we make it."""

    name: str
    partitions: int
    configuration: Mapping[str, str]
    is_letters: bool = False


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a topic that is there, and what to do. Where it `breaks` the promise, nothing is carried."""

    what: str
    fix: str
    breaks: bool


def wanted(pipeline: Pipeline, settings: KafkaSettings) -> tuple[Wanted, Wanted]:
    """The pipeline's topic and that of its dead letters."""
    # One broker may be lost without stopping the producers, as soon as there are three copies.
    both = {
        "cleanup.policy": "delete",
        "retention.bytes": str(_FOREVER),
        "min.insync.replicas": str(max(1, settings.replication_factor - 1)),
        # Rows are written with the time that the message was given, not with that of its arrival.
        "message.timestamp.type": "CreateTime",
    }
    messages = {"retention.ms": settings.retention_hours * _HOUR_MS, "max.message.bytes": LARGEST_MESSAGE_BYTES}
    letters = {"retention.ms": _FOREVER, "max.message.bytes": LARGEST_LETTER_BYTES}
    return (
        Wanted(pipeline.topic, settings.partitions, both | {name: str(number) for name, number in messages.items()}),
        Wanted(
            pipeline.dead_letter_topic,
            partitions=1,
            configuration=both | {name: str(number) for name, number in letters.items()},
            is_letters=True,
        ),
    )


def flaws(topic: Wanted, found: Mapping[str, str], copies: int) -> Iterator[Flaw]:
    """What is wrong with a topic of that configuration, the worst first; `copies` are those of a partition."""
    for problem in (_timestamps, _compaction, _copies_in_sync, _retention, _retained_bytes, _sizes, _unclean):
        yield from problem(topic, found, copies)


def _flaw(topic: Wanted, name: str, found: Mapping[str, str], why: str, *, breaks: bool, right: str = "") -> Flaw:
    """`right` is the value to set, that of our own topics unless given."""
    right = right or topic.configuration[name]
    fix = f"kafka-configs --alter --entity-type topics --entity-name {topic.name} --add-config {name}={right}"
    return Flaw(f"{name} is {found[name]}: {why}", fix, breaks)


def _timestamps(topic: Wanted, found: Mapping[str, str], _: int) -> Iterator[Flaw]:
    name = "message.timestamp.type"
    # Letters carry the time of their message in a header.
    if not topic.is_letters and found.get(name, "CreateTime") != "CreateTime":
        why = "messages get the broker's time in place of their source's, so nobody could tell which of two is newer"
        yield _flaw(topic, name, found, why, breaks=True)


def _compaction(topic: Wanted, found: Mapping[str, str], _: int) -> Iterator[Flaw]:
    name = "cleanup.policy"
    if "compact" in found.get(name, ""):
        why = "Kafka deletes messages of which there is a later one with the same key, read or not"
        yield _flaw(topic, name, found, why, breaks=True)


def _copies_in_sync(topic: Wanted, found: Mapping[str, str], copies: int) -> Iterator[Flaw]:
    name = "min.insync.replicas"
    in_sync, right = int(found.get(name, 1)), min(int(topic.configuration[name]), copies)
    if in_sync > copies:
        why = f"a partition has {copies} copies, so no message is ever acknowledged"
        yield _flaw(topic, name, found, why, breaks=True, right=str(right))
    elif in_sync < right:
        why = f"a message is acknowledged before {right} brokers have it, and may be lost with one"
        yield _flaw(topic, name, found, why, breaks=False, right=str(right))


def _retention(topic: Wanted, found: Mapping[str, str], _: int) -> Iterator[Flaw]:
    name = "retention.ms"
    kept_ms, asked_ms = (int(each.get(name, _FOREVER)) for each in (found, topic.configuration))
    if kept_ms == _FOREVER or "delete" not in found.get("cleanup.policy", "delete"):
        return
    if kept_ms < _HOUR_MS:
        yield _flaw(topic, name, found, "Kafka deletes messages before a run has had its hour to arrive", breaks=True)
    elif topic.is_letters:
        why = f"Kafka deletes letters after {_hours(kept_ms)} hours, each the only copy of its record"
        yield _flaw(topic, name, found, why, breaks=False)
    elif kept_ms < asked_ms:
        why = f"that is {_hours(kept_ms)} hours, kafka.retention_hours asks for {_hours(asked_ms)}"
        yield _flaw(topic, name, found, why, breaks=False)


def _retained_bytes(topic: Wanted, found: Mapping[str, str], _: int) -> Iterator[Flaw]:
    name = "retention.bytes"
    if int(found.get(name, _FOREVER)) != _FOREVER and "delete" in found.get("cleanup.policy", "delete"):
        what = "letters, each the only copy of its record" if topic.is_letters else "messages, read or not"
        yield _flaw(topic, name, found, f"beyond that many bytes Kafka deletes {what}, however new", breaks=False)


def _sizes(topic: Wanted, found: Mapping[str, str], _: int) -> Iterator[Flaw]:
    name = "max.message.bytes"
    asked = int(topic.configuration[name])
    if int(found.get(name, asked)) < asked:
        why = (
            "a message that does not fit with its headers cannot become a letter, and holds up the stream"
            if topic.is_letters
            else f"a run with a larger record fails; up to {asked} is what we ask for"
        )
        yield _flaw(topic, name, found, why, breaks=False)


def _unclean(topic: Wanted, found: Mapping[str, str], copies: int) -> Iterator[Flaw]:
    name = "unclean.leader.election.enable"
    if copies > 1 and found.get(name) == "true":
        why = "a broker that lacks acknowledged messages may come to lead, and then they are lost"
        yield _flaw(topic, name, found, why, breaks=False, right="false")


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / _HOUR_MS:g}"
