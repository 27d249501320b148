"""From the API to the table, through the real scheduler, broker, stream and store."""

import json
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest

from penstock.airflow import Airflow
from penstock.audit import ledger
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.ingest import IngestReport, Run, run_ingest
from penstock.kafka import Broker, Message
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header, Reason
from penstock.simulator import Asked, Reply, Simulator
from penstock.simulator.faults import failing, first
from penstock.simulator.people import Question, answer
from penstock.source import Interval, Offset, Source
from penstock.source.api import Api, address
from rig.stacks import start
from tests.apis import Listing, json_reply, serving
from tests.streaming import suspended
from tests.waiting import TIMEOUT_S


def run_dag(airflow: Airflow, moment: datetime, records: int) -> IngestReport:
    run_id = airflow.trigger("user_info", moment, {"records": records})
    airflow.wait("user_info", run_id, lambda _: None, TIMEOUT_S)
    return IngestReport.model_validate(airflow.result("user_info", run_id, "streaming_task"))


def settled(settings: Settings, pipeline: Pipeline, run_id: str) -> ledger.Account:
    return ledger.wait_until_settled(settings, pipeline, run_id, TIMEOUT_S)


def answers_of_the_api(settings: Settings, pipeline: Pipeline, moment: datetime, records: int) -> list[dict[str, Any]]:
    where = address(pipeline.name, pipeline.source, settings.source)
    with Api(pipeline.source, settings.source, address=where) as api:
        return [item for page in api.pages(Interval(moment), records) for item in page.items]


def row_of(user: dict[str, Any]) -> dict[str, Any]:
    """The row that a person's answer must become: written out by hand, as the declaration must not judge itself."""
    place = user["location"]
    street = f"{place['street']['number']} {place['street']['name']}"
    return {
        "id": UUID(user["login"]["uuid"]),
        "first_name": user["name"]["first"],
        "last_name": user["name"]["last"],
        "gender": user["gender"],
        "address": f"{street}, {place['city']}, {place['state']}, {place['country']}",
        "post_code": str(place["postcode"]),
        "email": user["email"],
        "username": user["login"]["username"],
        "registered_date": user["registered"]["date"],
        "phone": user["phone"],
        "picture": user["picture"]["medium"],
    }


def rows_by_id(store: Store, pipeline: Pipeline, ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    return {row.values["id"]: dict(row.values) for row in store.rows(pipeline, ids)}


def test_rows_equal_the_answers_of_the_api(
    airflow: Airflow, stack_settings: Settings, pipeline: Pipeline, store: Store
) -> None:
    moment = datetime(2025, 3, 13, 14, 30, tzinfo=UTC)
    report = run_dag(airflow, moment, 1_500)
    account = settled(stack_settings, pipeline, report.run)
    users = answers_of_the_api(stack_settings, pipeline, moment, 1_500)
    expected = {row["id"]: row for row in map(row_of, users)}
    assert account.equation(report.fetched) == "fetched 1500 = stored 1500 + dead-lettered 0"
    assert rows_by_id(store, pipeline, expected) == expected
    assert {type(user["location"]["postcode"]) for user in users} == {int, str}
    assert {"LATIN", "CYRILLIC", "ARABIC"} <= {
        unicodedata.name(letter).split()[0] for row in expected.values() for letter in row["first_name"]
    }


def test_same_logical_date_twice_gives_the_same_table(
    airflow: Airflow, stack_settings: Settings, pipeline: Pipeline, store: Store
) -> None:
    moment = datetime(2025, 3, 14, 14, 30, tzinfo=UTC)
    settled(stack_settings, pipeline, run_dag(airflow, moment, 200).run)
    ids = [row_of(user)["id"] for user in answers_of_the_api(stack_settings, pipeline, moment, 200)]
    before = rows_by_id(store, pipeline, ids), store.count(pipeline)
    report = run_dag(airflow, moment, 200)
    account = settled(stack_settings, pipeline, report.run)
    assert account.balances(report.fetched)
    assert account.repeated == 200
    assert (rows_by_id(store, pipeline, ids), store.count(pipeline)) == before


@pytest.fixture
def run(pipeline: Pipeline) -> Run:
    return Run(pipeline, f"test__{uuid4()}")


def message(run: Run, key: bytes | None, value: bytes | None) -> Message:
    return Message(run.pipeline.topic, key, value, run.headers, datetime.now(UTC))


def good_user(number: int) -> tuple[UUID, bytes]:
    key = uuid4()
    user = {
        "id": str(key),
        "first_name": f"Ayşe {number}",
        "last_name": "Öz",
        "email": "a@example.com",
        "username": "a",
    }
    return key, json.dumps(user).encode()


def dead_letters_of(broker: Broker, run: Run) -> Iterator[tuple[Reason, bytes]]:
    for letter in broker.read(run.pipeline.dead_letter_topic):
        if letter.headers.get(Header.RUN) == run.id:
            yield Reason(letter.headers[Header.REASON]), letter.value


def test_bad_messages_among_good_ones_become_dead_letters_with_their_bytes(
    stack_settings: Settings, broker: Broker, store: Store, run: Run
) -> None:
    key, value = good_user(0)
    bad = {
        value[: len(value) // 2]: Reason.MALFORMED_JSON,
        b"\xff\xfe" + value: Reason.NOT_UTF8,
        b"[1, 2]": Reason.NOT_AN_OBJECT,
        value.replace(b'"a@example.com"', b"5"): Reason.WRONG_TYPE,
        value.replace(b'"id"', b'"no_id"'): Reason.MISSING_FIELD,
        value.replace(b"}", b', "dob": "1990-01-01"}'): Reason.UNKNOWN_FIELD,
        value.replace(b'"username": "a"', b'"username": null'): Reason.WRONG_TYPE,
        value.replace(str(key).encode(), b"not-a-uuid"): Reason.INVALID_VALUE,
    }
    good = dict(good_user(number) for number in range(1, 20))
    sent = [message(run, str(key).encode(), value) for key, value in good.items()]
    sent[3:3] = [message(run, b"some key", value) for value in bad]
    broker.publish(sent)
    account = settled(stack_settings, run.pipeline, run.id)
    assert (account.stored, account.dead_lettered) == (len(good), len(bad))
    assert {original: reason for reason, original in dead_letters_of(broker, run)} == bad
    assert rows_by_id(store, run.pipeline, good).keys() == good.keys()


def test_message_without_a_key_is_stored_by_the_id_in_its_value(
    stack_settings: Settings, broker: Broker, store: Store, run: Run
) -> None:
    key, value = good_user(1)
    broker.publish([message(run, None, value), message(run, None, b"{}")])
    account = settled(stack_settings, run.pipeline, run.id)
    assert (account.stored, account.dead_lettered) == (1, 1)
    assert rows_by_id(store, run.pipeline, [key])[key]["first_name"] == "Ayşe 1"


def test_value_that_becomes_absent_is_cleared_in_whatever_order_the_messages_come(
    stack_settings: Settings, broker: Broker, store: Store, run: Run
) -> None:
    now = datetime.now(UTC)
    (first, value), (second, other) = good_user(2), good_user(3)
    with_phone = [value.replace(b"}", b', "phone": "1"}'), other.replace(b"}", b', "phone": "1"}')]
    messages = [(with_phone[0], 0), (value, 1), (other.replace(b"}", b', "phone": null}'), 1), (with_phone[1], 0)]
    topic, headers = run.pipeline.topic, run.headers
    broker.publish(Message(topic, b"k", each, headers, now + late * timedelta(seconds=1)) for each, late in messages)
    assert settled(stack_settings, run.pipeline, run.id).stored == 4
    rows = list(store.rows(run.pipeline, [first, second]))
    cleared = (None, "a@example.com", False)
    assert [(row.values["phone"], row.values["email"], "phone" in row.written_us) for row in rows] == [cleared] * 2


def test_api_that_fails_for_a_while_delays_and_loses_nothing(stack_settings: Settings, pipeline: Pipeline) -> None:
    bad_day = first(failing(429, Retry_After="1"), failing(503), failing(503, Retry_After="1"))
    with Simulator(faults=bad_day) as api:
        source = stack_settings.source.model_copy(update={"urls": {pipeline.name: api.url}})
        settings = stack_settings.model_copy(update={"source": source})
        report = run_ingest(settings, pipeline, f"test__{uuid4()}", Interval(datetime.now(UTC)), 50)
        assert api.requests == 4
    assert settled(stack_settings, pipeline, report.run).equation(50) == "fetched 50 = stored 50 + dead-lettered 0"


def test_own_api_is_accounted_for_with_what_came_twice(stack_settings: Settings, pipeline: Pipeline) -> None:
    """Ten people come to the front of the list while it is read by offset; the same interval is asked twice."""
    newer, older = (answer(Question(f"own{uuid4()}", 1, count))["results"] for count in (10, 235))

    def people(listing: Listing, asked: Asked) -> Reply:
        return json_reply({"data": listing.part(int(asked.query["offset"]), 100), "asked": asked.query["since"]})

    listing = Listing(older, people)
    listing.before = lambda number: listing.items.__setitem__(slice(0, 0), newer) if number == 2 else None
    interval = Interval(*(datetime(2026, 11, day, tzinfo=UTC) for day in (1, 1, 2)))
    with serving(listing) as url:
        source = Source(url, "data", params={"since": "{start}"}, paging=Offset(limit=100))
        own = pipeline.model_copy(update={"source": source, "name": "own"})
        reports = [run_ingest(stack_settings, own, f"test__{uuid4()}", interval) for _ in range(2)]
    assert [(report.fetched, report.distinct) for report in reports] == [(245, 235), (245, 245)]
    first, second = (ledger.wait_until_balanced(stack_settings, own, report.run, TIMEOUT_S) for report in reports)
    assert first.equation() == "fetched 245, distinct 235: 245 = stored 245 + dead-lettered 0"
    assert second.equation() == "fetched 245 = stored 245 + dead-lettered 0"
    with Store(stack_settings.cassandra) as store:
        people_there = [UUID(person["login"]["uuid"]) for person in listing.items]
        assert len(list(store.rows(pipeline, people_there))) == len(people_there) == 245
    assert {asked.query["since"] for asked in listing.asked} == {"2026-11-01T00:00:00Z"}


def test_broker_that_is_down_when_the_task_starts_delays_the_run(
    airflow: Airflow, stack_settings: Settings, pipeline: Pipeline
) -> None:
    kafka = control.status(stack_settings, memory=False).service("kafka")
    assert kafka.pid is not None
    psutil.Process(kafka.pid).kill()
    report = run_dag(airflow, datetime(2025, 3, 15, 14, 30, tzinfo=UTC), 100)
    account = settled(stack_settings, pipeline, report.run)
    assert account.equation(report.fetched) == "fetched 100 = stored 100 + dead-lettered 0"
    assert control.status(stack_settings, memory=False).service("kafka").restarts == kafka.restarts + 1


@pytest.mark.thorough  # the rounds of "everything" end and start all of it under load
def test_down_and_up_in_mid_stream_loses_nothing(stack_settings: Settings, pipeline: Pipeline) -> None:
    run_id = f"test__{uuid4()}"
    with stream_suspended(stack_settings):
        report = run_ingest(stack_settings, pipeline, run_id, Interval(datetime.now(UTC)), 30_000)
        assert ledger.account(stack_settings, pipeline, run_id).in_flight == 30_000
    control.down(stack_settings)
    start(stack_settings)
    account = settled(stack_settings, pipeline, run_id)
    assert account.equation(report.fetched) == "fetched 30000 = stored 30000 + dead-lettered 0"


@contextmanager
def stream_suspended(settings: Settings) -> Iterator[None]:
    """Within it the stream makes no progress, so that what is published stays in flight."""
    state = control.status(settings, memory=False)
    with ExitStack() as resuming:
        for name in ("stream", "spark-worker"):  # the executor would end its part of an epoch without the driver
            pid = state.service(name).pid
            assert pid is not None
            resuming.enter_context(suspended(pid))
        yield
