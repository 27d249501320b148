"""Letters on their way again: judged by the declaration of today, then published to the topic as ordinary messages."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from penstock.audit.letters.index import Body, Letter
from penstock.kafka import Message, Publisher, Received
from penstock.kafka.messages import EPOCH, MILLISECOND
from penstock.pipelines.contract import Pipeline, Record
from penstock.pipelines.identity import message_key
from penstock.pipelines.record import Header, Reason, Rejected, from_api, from_bytes, to_bytes
from penstock.source.body import reader


class State(StrEnum):
    """What became of a letter that was to be replayed."""

    REPLAYED = "replayed"
    STILL_BAD = "still bad"
    RESOLVED = "resolved before"


@dataclass(frozen=True)
class Outcome:
    """One letter of a replay; `problem` says why it is still bad, or by what it was resolved."""

    letter: Letter
    state: State
    problem: str = ""


_NO_TIME_REMEDY = (
    "A replay would have to invent that time, and might replace newer values: publish it anew (for an interval of the "
    "DAG: run it again), then dismiss the letter"
)


def replay(
    pipeline: Pipeline,
    bodies: Iterable[Body],
    now: datetime,
    broker: Publisher | None,
    report: Callable[[Outcome], None],
) -> None:
    """Publishes every letter whose value is a record by now, at the aware `now`; without a broker it only judges.

    `report` gets each letter as it is taken; when this returns, Kafka has acknowledged all that were replayed. A letter
    that is still bad, or was resolved before, is left as it is. The stream resolves a letter when it has stored it.

    Raises:
        DeliveryError: one was not acknowledged. Replaying the same letters again is harmless.
    """

    def messages() -> Iterator[Message]:
        for letter, message, value in bodies:
            outcome = _judged(pipeline, letter, message, value, now)
            if isinstance(outcome, Message):
                yield outcome
                report(Outcome(letter, State.REPLAYED))
            else:
                report(outcome)

    if broker:
        broker.publish(messages())
    else:
        for _ in messages():
            pass


def _judged(
    pipeline: Pipeline, letter: Letter, message: Received, value: bytes | None, now: datetime
) -> Message | Outcome:
    if letter.resolved_by and not letter.is_dismissed:
        return Outcome(letter, State.RESOLVED, letter.resolved_by)
    from_ingest = Header.ORIGIN_URL in message.headers
    if letter.reason == Reason.UNKNOWN_TIME:
        return Outcome(letter, State.STILL_BAD, f"{letter.reason}: {letter.message}. {_NO_TIME_REMEDY}")
    record = _from_item(pipeline, value) if from_ingest else from_bytes(pipeline, value)
    if isinstance(record, Rejected):
        return Outcome(letter, State.STILL_BAD, f"{record.reason}: {record.message}")
    published = to_bytes(record) if from_ingest or value is None else value
    return Message(pipeline.topic, message_key(pipeline, record), published, _headers(pipeline, letter, message), now)


def _headers(pipeline: Pipeline, letter: Letter, message: Received) -> dict[str, str]:
    """As the original's, so that both are one item of its run; the version is that by which the value was judged."""
    headers = {
        Header.PIPELINE: pipeline.name,
        Header.VERSION: str(pipeline.version),
        Header.RUN: letter.run,
        Header.ITEM: message.headers.get(Header.ITEM, letter.origin),
        Header.REPLAYS: letter.id,
        Header.WRITE_TIME_MS: str(_sent_ms(letter, message)),
    }
    return {name.value: value for name, value in headers.items() if value}


def _sent_ms(letter: Letter, message: Received) -> int:
    """When the original was sent. A letter that does not say it in a way that can be read is as old as itself."""
    try:
        sent = datetime.fromisoformat(letter.first_seen)
    except ValueError:
        return message.timestamp_ms
    if sent.tzinfo is None:
        sent = sent.replace(tzinfo=UTC)
    return max(0, min((sent - EPOCH) // MILLISECOND, message.timestamp_ms))


def _from_item(pipeline: Pipeline, value: bytes | None) -> Record | Rejected:
    """The record of an item of the API, as ingest reads it."""
    if value is None:
        return Rejected(Reason.NO_VALUE, "the letter has no value", b"")
    try:
        return from_api(pipeline, reader("", ndjson=False)(value))
    except UnicodeDecodeError as error:
        return Rejected(Reason.NOT_UTF8, str(error), value)
    except (ValueError, RecursionError) as error:
        return Rejected(Reason.MALFORMED_JSON, f"not JSON: {error}", value)
