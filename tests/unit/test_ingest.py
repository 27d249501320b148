"""From pages to messages, with a publisher that keeps them in a list."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.errors import ConfigError, DeliveryError, RejectedError, SourceAnswerError
from penstock.ingest import IngestReport, Run, ingest, judge, records_asked
from penstock.kafka import Message, Receipts
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header
from penstock.source import Cursor, Offset, Page, Source
from penstock.source.api import Answer
from penstock.users import USERS

RUN = Run(USERS, "manual__2025-03-12")
URL = "http://127.0.0.1/api/?page=1"
RECEIVED = datetime(2025, 3, 12, 14, 30, 1, tzinfo=UTC)
PEOPLE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "randomuser-1.4.json").read_text("utf-8")
)["results"]


class Shelf:
    """Keeps what is published, and acknowledges all of it but the last `lost` messages."""

    def __init__(self, lost: int = 0) -> None:
        self.messages: list[Message] = []
        self._lost = lost

    def publish(self, messages: Iterable[Message], on_progress: Callable[[int], None]) -> Receipts:
        self.messages.extend(messages)
        kept = self.messages[: len(self.messages) - self._lost]
        on_progress(len(kept))
        topics = [message.topic for message in kept]
        counts = {topic: topics.count(topic) for topic in set(topics)}
        return Receipts(len(self.messages), len(kept), sum(len(m.value) for m in kept), counts)


def pages(*items: Any) -> Iterator[Answer]:
    yield Answer(URL, 1, list(items), RECEIVED, 1_000)


def test_record_is_keyed_by_the_id_of_the_api() -> None:
    shelf = Shelf()
    ingest(RUN, pages(PEOPLE[0]), shelf)
    assert shelf.messages[0].key == PEOPLE[0]["login"]["uuid"].encode()


def test_message_says_which_pipeline_run_and_item_it_is_of() -> None:
    shelf = Shelf()
    ingest(RUN, pages(*PEOPLE[:2]), shelf)
    assert shelf.messages[1].headers == {
        Header.PIPELINE: "users",
        Header.VERSION: "1",
        Header.RUN: RUN.id,
        Header.ITEM: "1/1",
    }


def test_time_of_a_message_is_when_the_answer_was_received() -> None:
    shelf = Shelf()
    ingest(RUN, pages(PEOPLE[0]), shelf)
    assert shelf.messages[0].timestamp == RECEIVED


def test_of_one_key_on_one_page_the_later_item_is_the_newer_one_and_no_page_begins_before_the_last_one_ended() -> None:
    shelf, milliseconds = Shelf(), timedelta(milliseconds=1)
    first, second = PEOPLE[:2]
    versions = [first, second, {**first, "phone": "1"}, {**first, "phone": "2"}]
    ingest(RUN, (Answer(URL, number, versions, RECEIVED, 1) for number in (1, 2)), shelf)
    times = [round((message.timestamp - RECEIVED) / milliseconds) for message in shelf.messages]
    assert times == [-2, 0, -1, 0, 1, 3, 2, 3]


@pytest.mark.parametrize(("paging", "skipped"), [(Page(), 1), (Offset(), 1), (Cursor(), 0), (None, 0)])
def test_item_that_was_skipped_while_another_moved_in_a_new_version_is_missed(paging: Any, skipped: int) -> None:
    pipeline = USERS.model_copy(update={"source": Source("http://a/", "results", paging=paging, total="n")})
    moved = {**PEOPLE[0], "phone": "another"}
    both = ([PEOPLE[0], PEOPLE[1]], [moved])
    read = (Answer(URL, at + 1, items, RECEIVED, 1, total=3) for at, items in enumerate(both))
    report = ingest(Run(pipeline, "r"), read, Shelf())
    assert (report.fetched, report.distinct, report.skipped) == (3, 2, skipped)
    with suppress(SourceAnswerError) if not skipped else pytest.raises(SourceAnswerError, match="1 of the items"):
        judge(pipeline, report)


def test_versions_of_a_record_on_one_page_are_nothing_skipped() -> None:
    pipeline = USERS.model_copy(update={"source": Source("http://a/", "results", paging=Page(), total="n")})
    items = [PEOPLE[0], {**PEOPLE[0], "phone": "another"}, PEOPLE[1], None]
    report = ingest(Run(pipeline, "r"), iter([Answer(URL, 1, items, RECEIVED, 1, total=4)]), Shelf())
    assert (report.fetched, report.distinct, report.skipped) == (4, 3, 0)


def test_same_pages_make_the_same_messages() -> None:
    first, second = Shelf(), Shelf()
    ingest(RUN, pages(*PEOPLE), first)
    ingest(RUN, pages(*PEOPLE), second)
    assert first.messages == second.messages


def test_item_that_is_no_record_becomes_a_dead_letter_with_its_reason_and_origin() -> None:
    shelf = Shelf()
    broken = {**PEOPLE[1], "email": 7}
    ingest(RUN, pages(PEOPLE[0], broken), shelf)
    letter = shelf.messages[1]
    assert letter.topic == "users_created.dead-letters"
    assert json.loads(letter.value) == broken
    assert letter.key == f"{RUN.id}/{URL}#1/1".encode()
    assert letter.headers[Header.REASON] == "wrong_type"
    assert "email" in letter.headers[Header.MESSAGE]
    assert (letter.headers[Header.ORIGIN_URL], letter.headers[Header.ORIGIN_INDEX]) == (URL, "1")
    assert letter.headers[Header.FIRST_SEEN] == "2025-03-12T14:30:01+00:00"


def test_report_adds_up() -> None:
    report = ingest(RUN, pages(PEOPLE[0], "no object", PEOPLE[1]), Shelf())
    assert (report.fetched, report.acknowledged, report.rejected) == (3, 2, 1)


def test_report_survives_the_way_through_airflow() -> None:
    report = ingest(RUN, pages(PEOPLE[0]), Shelf())
    assert IngestReport.model_validate(json.loads(json.dumps(report.model_dump()))) == report


def test_progress_reaches_the_number_of_items() -> None:
    seen: list[int] = []
    ingest(RUN, pages(*PEOPLE[:3]), Shelf(), seen.append)
    assert seen[-1] == 3


def declaring(**source: Any) -> Pipeline:
    return USERS.model_copy(update={"source": replace(USERS.source, **source)})


def test_a_run_of_nothing_is_a_success() -> None:
    report = ingest(RUN, pages(), Shelf())
    judge(USERS, report)
    assert (report.fetched, report.distinct) == (0, 0)


def test_fewer_items_than_declared_are_a_failure() -> None:
    report = ingest(RUN, pages(*PEOPLE[:2]), Shelf())
    judge(declaring(at_least=2), report)
    with pytest.raises(SourceAnswerError, match="2 items in all, and at_least is 3"):
        judge(declaring(at_least=3), report)


def test_too_many_rejected_items_are_a_failure_that_says_the_commonest_reason_with_an_example() -> None:
    nameless = {**PEOPLE[1], "name": {}}
    report = ingest(RUN, pages(PEOPLE[0], nameless, "no object", nameless), Shelf())
    with pytest.raises(RejectedError, match=r"3 of 4 items are no records; allowed are 50%") as caught:
        judge(USERS, report)
    assert "missing_field (2 times), e.g. item 1/1: first_name: Field required" in str(caught.value)
    judge(declaring(at_most_rejected=0.75), report)


def test_half_of_the_items_may_be_rejected() -> None:
    judge(USERS, ingest(RUN, pages(PEOPLE[0], "no object"), Shelf()))


def test_no_declaration_lets_everything_be_rejected() -> None:
    with pytest.raises(ValidationError, match="less than 1"):
        declaring(at_most_rejected=1)


def test_items_that_came_twice_are_counted_once_among_the_distinct() -> None:
    report = ingest(RUN, pages(PEOPLE[0], PEOPLE[1], {**PEOPLE[0], "gender": "x"}, "bad", "bad"), Shelf())
    assert (report.fetched, report.distinct) == (5, 3)
    assert "fetched 5, distinct 3: 5 = acknowledged 3 + rejected 2" in report.sentence()


def test_items_that_all_differ_are_not_counted_for_people() -> None:
    assert "distinct" not in ingest(RUN, pages(*PEOPLE[:2]), Shelf()).sentence()


def test_missing_receipt_is_a_failure() -> None:
    with pytest.raises(DeliveryError, match="2 records sent, 1 acknowledged"):
        ingest(RUN, pages(*PEOPLE[:2]), Shelf(lost=1))


def test_long_explanation_is_cut() -> None:
    shelf = Shelf()
    ingest(RUN, pages({**PEOPLE[0], "gender": 1, "email": {"x" * 10_000: 1}}), shelf)
    assert len(shelf.messages[0].headers[Header.MESSAGE]) <= 1_000


@pytest.mark.parametrize(
    ("conf", "records"), [(None, 1_000), ({}, 1_000), ({"records": 20}, 20), ({"records": 2e1}, 20)]
)
def test_conf_of_a_run_says_how_many_records(conf: dict[str, Any] | None, records: int) -> None:
    asked = records_asked(USERS, conf)
    assert (asked, type(asked)) == (records, int)


@pytest.mark.parametrize(
    ("conf", "problem"),
    [
        ({"records": 20.5}, "20.5 records cannot be asked for: records must be a whole number"),
        ({"records": "20"}, "must be a whole number"),
        ({"records": True}, "must be a whole number"),
        ({"records": None}, "must be a whole number"),
        ({"records": [20]}, "must be a whole number"),
        ({"records": float("nan")}, "must be a whole number"),
        ({"records": 0}, "gives 1 to 10000000 in a run"),
        ({"records": -3}, "gives 1 to 10000000 in a run"),
        ({"records": 1e300}, "gives 1 to 10000000 in a run"),
        ({"records": 10**5_000}, "gives 1 to 10000000 in a run"),
        ({"record": 20}, r"conf has record, which the DAG user_info does not know.*\"records\": 500"),
        ({"records": 20, "b": 1, "a": 1}, "conf has a, b, which"),
    ],
)
def test_conf_that_no_attempt_could_use_is_a_config_error(conf: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        records_asked(USERS, conf)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text(), max_size=3))
def test_any_conf_is_a_number_of_records_or_a_config_error(conf: dict[str, Any]) -> None:
    with suppress(ConfigError):
        assert 0 < records_asked(USERS, conf) <= USERS.source.most_records
