"""Hostile messages through the real stream: each ends as a row or as a dead letter, and the stream goes on.

The last by its name of those that share a stack: its 10,000 messages stay in topics that other tests read whole.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.cimpl import Message as KafkaMessage

from penstock.audit import ledger
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.kafka import LARGEST_MESSAGE_BYTES, Broker
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import LARGEST_VALUE_BYTES, Header, Reason
from tests.hostile import Hostile, corpus, encoded, user
from tests.waiting import TIMEOUT_S

SEED = 41_000
MEBIBYTE = 1024 * 1024
Headers = Sequence[tuple[str, str | bytes | None]]


def published(
    settings: Settings, pipeline: Pipeline, run: str, sent: Iterable[Hostile], *more: Headers
) -> dict[str, Hostile]:
    """Origin -> message. A producer of its own: ours would refuse to send null values, and headers that are no text."""
    found: dict[str, Hostile] = {}
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "message.max.bytes": 100 * MEBIBYTE,
            "compression.type": "zstd",
            "acks": "all",
        }
    )
    for number, message in enumerate(sent):

        def receive(error: KafkaError | None, receipt: KafkaMessage, message: Hostile = message) -> None:
            assert error is None, error.str()
            found[f"{receipt.topic()}/{receipt.partition()}/{receipt.offset()}"] = message

        said = [*(more[number] if more else ()), *message.headers.items(), (Header.RUN.value, run.encode())]
        key = None if number % 3 else b"\xff\x00"
        producer.produce(pipeline.topic, message.value, key, headers=said, on_delivery=receive)
        producer.poll(0)
    assert producer.flush(TIMEOUT_S) == 0
    return found


def letters_of(broker: Broker, pipeline: Pipeline, run: str) -> dict[str, tuple[str, bytes | None]]:
    """Origin -> reason and value, of the letters of this run."""
    return {
        (letter.key or b"").decode(): (letter.headers[Header.REASON], letter.value)
        for letter in broker.read(pipeline.dead_letter_topic)
        if letter.headers.get(Header.RUN) == run
    }


def expected_letters(sent: Mapping[str, Hostile]) -> dict[str, tuple[str, bytes | None]]:
    return {origin: (message.reason.value, message.value) for origin, message in sent.items() if message.reason}


def expected_rows(sent: Mapping[str, Hostile]) -> dict[UUID, dict[str, Any]]:
    users = [json.loads(message.value or b"") for message in sent.values() if message.reason is None]
    return {UUID(fields["id"]): {**fields, "id": UUID(fields["id"])} for fields in users}


def rows(store: Store, pipeline: Pipeline, ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    """Rows by id, without what is unset."""
    found = (row.values for row in store.rows(pipeline, ids))
    return {values["id"]: {name: value for name, value in values.items() if value is not None} for values in found}


@pytest.fixture
def run() -> str:
    return f"hostile__{uuid4()}"


@pytest.fixture
def starts(stack_settings: Settings) -> Iterable[None]:
    """The stream that ran before the test runs after it: nothing ended it."""
    before = control.status(stack_settings, memory=False).service("stream")
    yield
    after = control.status(stack_settings, memory=False).service("stream")
    assert (after.pid, after.restarts) == (before.pid, before.restarts)


@pytest.mark.usefixtures("starts")
def test_ten_thousand_hostile_messages_become_rows_and_letters(
    stack_settings: Settings, pipeline: Pipeline, broker: Broker, store: Store, run: str
) -> None:
    # A producer's time is its own; other times are for the tests of the judge.
    own_time = (each for each in corpus(SEED, 12_000) if each.timestamp_type == 0 and each.timestamp_ms is None)
    sent = published(stack_settings, pipeline, run, islice(own_time, 10_000))
    letters, users = expected_letters(sent), expected_rows(sent)
    account = ledger.wait_until_settled(stack_settings, pipeline, run, TIMEOUT_S)
    assert account.equation(10_000) == f"fetched 10000 = stored {len(users)} + dead-lettered {len(letters)}"
    assert letters_of(broker, pipeline, run) == letters
    assert rows(store, pipeline, users) == users


def large(chance: Random) -> list[Hostile]:
    """Nine messages of 4 to 18 MiB."""
    return [
        *(Hostile("row", encoded({**user(chance), "address": "x" * 4_000_000}), None) for _ in range(3)),
        Hostile("spaced row", encoded(user(chance)).ljust(LARGEST_VALUE_BYTES), None),
        Hostile("lists", b"[" + b"[]," * (MEBIBYTE + 300_000) + b"[]]", Reason.NOT_AN_OBJECT),
        *(
            Hostile("ten", encoded({**user(chance), "address": "x" * 10_000_000}), Reason.INVALID_VALUE)
            for _ in range(2)
        ),
        Hostile("noise", chance.randbytes(LARGEST_MESSAGE_BYTES - 1_000), Reason.INVALID_VALUE),
        # To the topic it is small.
        Hostile("packed", b" " * (18 * MEBIBYTE), Reason.INVALID_VALUE),
    ]


@pytest.mark.usefixtures("starts")
def test_large_messages_do_not_end_the_stream(
    stack_settings: Settings, pipeline: Pipeline, broker: Broker, store: Store, run: str
) -> None:
    sent = published(stack_settings, pipeline, run, large(Random(SEED)))
    users = expected_rows(sent)
    account = ledger.wait_until_settled(stack_settings, pipeline, run, TIMEOUT_S)
    assert account.equation(9) == "fetched 9 = stored 4 + dead-lettered 5"
    assert letters_of(broker, pipeline, run) == expected_letters(sent)
    assert rows(store, pipeline, users) == users


@pytest.mark.usefixtures("starts")
def test_headers_of_any_size_number_and_kind_change_nothing(
    stack_settings: Settings, pipeline: Pipeline, broker: Broker, run: str
) -> None:
    headers: list[Headers] = [
        [("x", b"h" * 1_000_000)],
        [(Header.ITEM.value, b"i" * 1_000_000)],
        [(Header.PIPELINE.value, b"\xff\xfe\x00")],
        [(Header.RUN.value, b"another run"), (Header.VERSION.value, b"9"), (Header.VERSION.value, b"1")],
        [(f"h{number}", b"") for number in range(5_000)],
        [("", b""), ("penstock.reason", b"invented"), (Header.ORIGIN_OFFSET.value, b"-1")],
    ]
    sent = published(stack_settings, pipeline, run, [Hostile("headers", b"{", Reason.MALFORMED_JSON)] * 6, *headers)
    account = ledger.wait_until_settled(stack_settings, pipeline, run, TIMEOUT_S)
    assert account.equation(6) == "fetched 6 = stored 0 + dead-lettered 6"
    assert letters_of(broker, pipeline, run) == expected_letters(sent)
