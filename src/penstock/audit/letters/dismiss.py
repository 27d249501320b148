"""Letters that need no replay: somebody decided so, and says why."""

from collections.abc import Iterable
from datetime import datetime

from penstock.audit.letters.index import Letter
from penstock.kafka import Message, Publisher
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import DISMISSAL, Header


def dismiss(pipeline: Pipeline, letters: Iterable[Letter], why: str, now: datetime, broker: Publisher) -> list[Letter]:
    """Closes those of the letters that are open, and returns them; Kafka has acknowledged it.

    The letter stays, with its bytes, and counts as dead-lettered as before: nothing of it is in the table. A replay by
    its id, or from a file, takes the decision back.

    Raises:
        DeliveryError: one was not acknowledged. Dismissing the same letters again is harmless.
    """
    closed = [letter for letter in letters if not letter.resolved_by]
    broker.publish(
        Message(pipeline.dead_letter_topic, letter.id.encode(), b"", _headers(pipeline, letter, why), now)
        for letter in closed
    )
    return closed


def _headers(pipeline: Pipeline, letter: Letter, why: str) -> dict[str, str]:
    headers = {
        Header.PIPELINE: pipeline.name,
        Header.RUN: letter.run,
        Header.RESOLVED: DISMISSAL,
        Header.MESSAGE: why,
    }
    return {name.value: value for name, value in headers.items() if value}
