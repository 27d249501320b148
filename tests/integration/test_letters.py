"""Dead letters on the real stack: listed, corrected, replayed, resolved; and the trace of single records."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from penstock.audit import ledger
from penstock.audit.letters import Filter, Letter, LetterIndex
from penstock.audit.trace import trace
from penstock.cassandra import Row, Store
from penstock.config import Settings
from penstock.errors import LetterError, TraceError
from penstock.ingest import Run, run_ingest
from penstock.kafka import Broker, Message
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header, Reason, letter_id
from penstock.simulator import Simulator
from penstock.simulator.faults import Reply, always, whole
from penstock.source import Interval
from rig.stacks import penstock
from tests.waiting import TIMEOUT_S, until

SENT = datetime(2025, 3, 12, 14, 30, 0, 123_000, tzinfo=UTC)


@pytest.fixture
def run(pipeline: Pipeline) -> Run:
    return Run(pipeline, f"letters__{uuid4()}")


def user(key: UUID, **changes: Any) -> bytes:
    fields = {"id": str(key), "first_name": "Ayşe", "last_name": "Öz", "email": f"{key}@example.com", "username": "a"}
    return json.dumps({**fields, **changes}, ensure_ascii=False).encode()


def published(broker: Broker, run: Run, *values: bytes, sent: datetime | None = None, **headers: str) -> None:
    said = {**run.headers, **{Header[name].value: text for name, text in headers.items()}}
    broker.publish(Message(run.pipeline.topic, None, value, said, sent or datetime.now(UTC)) for value in values)


def letters(broker: Broker, run: Run) -> list[Letter]:
    """All letters of the run, resolved or not."""
    with LetterIndex(run.pipeline, broker) as book:
        return list(book.read().letters(Filter(run=run.id, resolved=True)))


def settled(settings: Settings, run: Run) -> ledger.Account:
    return ledger.wait_until_settled(settings, run.pipeline, run.id, TIMEOUT_S)


def resolved(broker: Broker, run: Run, count: int) -> None:
    until(lambda: sum(letter.resolved_by is not None for letter in letters(broker, run)) == count)


def row(store: Store, pipeline: Pipeline, key: UUID) -> Row:
    [found] = store.rows(pipeline, [key])
    return found


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_letters_are_listed_corrected_in_a_file_and_replayed(
    stack_settings: Settings, broker: Broker, store: Store, run: Run, tmp_path: Path
) -> None:
    corrected, key = uuid4(), uuid4()
    published(broker, run, user(corrected, username=7), user(key)[:40], b"\xff\x1b[31m", user(key))
    settled(stack_settings, run)
    listed = lines(penstock(stack_settings, "dead-letters", "list", "--run", run.id, "--json").stdout)
    reasons = {Reason.WRONG_TYPE, Reason.MALFORMED_JSON, Reason.NOT_UTF8}
    assert {letter["reason"] for letter in listed} == reasons
    file = tmp_path / "letters.jsonl"
    assert penstock(stack_settings, "dead-letters", "export", "--run", run.id, "--file", str(file)).returncode == 0
    file.write_text(file.read_text("utf-8").replace(r"\"username\": 7", r"\"username\": \"seven\""), "utf-8")
    replay = ("dead-letters", "replay", "--file", str(file))
    assert "would be: 1 replayed, 2 still bad" in penstock(stack_settings, *replay, "--dry-run").stdout
    assert "\n1 replayed, 2 still bad, 0 resolved before" in penstock(stack_settings, *replay).stdout
    resolved(broker, run, 1)
    assert row(store, run.pipeline, corrected).values["username"] == "seven"
    assert {letter.reason for letter in letters(broker, run) if not letter.resolved_by} == reasons - {Reason.WRONG_TYPE}
    before = broker.offsets(run.pipeline.topic), broker.offsets(run.pipeline.dead_letter_topic)
    assert "\n0 replayed, 2 still bad, 1 resolved before" in penstock(stack_settings, *replay).stdout
    assert (broker.offsets(run.pipeline.topic), broker.offsets(run.pipeline.dead_letter_topic)) == before
    account = settled(stack_settings, run)
    assert (account.stored, account.dead_lettered) == (2, 2)


def test_letter_is_shown_whatever_its_bytes(stack_settings: Settings, broker: Broker, run: Run) -> None:
    published(broker, run, b"\xff\x1b[31m", b"{\x1b[31m", b"\xff" * 10_000)
    settled(stack_settings, run)
    shown = [penstock(stack_settings, "dead-letters", "show", letter.short) for letter in letters(broker, run)]
    assert [done.returncode for done in shown] == [0, 0, 0]
    text = "".join(done.stdout for done in shown)
    assert "ff 1b 5b 33 31 6d" in text
    assert r"{\x1b[31m" in text
    assert "10,000 bytes in all" in text
    assert "\x1b" not in text


def test_replay_that_the_stream_rejects_stays_one_letter(stack_settings: Settings, broker: Broker, run: Run) -> None:
    published(broker, run, b"{")
    settled(stack_settings, run)
    [letter] = letters(broker, run)
    published(broker, run, b"[]", REPLAYS=letter.id, ITEM=letter.origin)
    until(lambda: letters(broker, run)[0].rejected_again is not None)
    [again] = letters(broker, run)
    assert (again.id, again.reason, again.resolved_by) == (letter.id, Reason.MALFORMED_JSON, None)
    assert (again.rejected_again or "").startswith(Reason.NOT_AN_OBJECT)
    account = settled(stack_settings, run)
    assert (account.stored, account.dead_lettered) == (0, 1)


def test_replay_does_not_replace_what_came_since(
    stack_settings: Settings, broker: Broker, store: Store, run: Run, tmp_path: Path
) -> None:
    key, now = uuid4(), datetime.now(UTC)
    published(broker, run, user(key, first_name="old", gender=5), sent=now - timedelta(seconds=2))
    published(broker, run, user(key, first_name="new"), sent=now - timedelta(seconds=1))
    settled(stack_settings, run)
    [letter] = letters(broker, run)
    file = tmp_path / "fixed.jsonl"
    fixed = user(key, first_name="old", gender="female").decode()
    file.write_text(json.dumps({"id": letter.id, "value": fixed}) + "\n")
    penstock(stack_settings, "dead-letters", "replay", "--file", str(file))
    resolved(broker, run, 1)
    found = row(store, run.pipeline, key)
    # The newer record has no gender, and what is absent clears its column.
    assert (found.values["first_name"], found.values["gender"]) == ("new", None)
    assert settled(stack_settings, run).stored == 2


def test_letter_older_than_the_topics_memory_is_replayed_with_its_write_time(
    stack_settings: Settings, broker: Broker, store: Store, run: Run
) -> None:
    """It is written as the stream would have written it, for which the declaration of then was to blame."""
    key, origin = uuid4(), f"{run.pipeline.topic}/0/{uuid4().int % 10**9 + 10**12}".encode()
    said: dict[str, str] = {Header.REASON: "wrong_type", Header.FIRST_SEEN: SENT.isoformat(), Header.MESSAGE: "m"}
    broker.publish([Message(run.pipeline.dead_letter_topic, origin, user(key), {**run.headers, **said}, SENT)])
    done = penstock(stack_settings, "dead-letters", "replay", letter_id(origin, user(key)))
    assert done.stdout == "1 replayed, 0 still bad, 0 resolved before\n"
    resolved(broker, run, 1)
    assert set(row(store, run.pipeline, key).written_us.values()) == {round(SENT.timestamp() * 1_000) * 1_000}
    [replayed] = (m for m in broker.read(run.pipeline.topic) if m.headers.get(Header.RUN) == run.id)
    assert datetime.now(UTC) - replayed.timestamp < timedelta(minutes=5)


def without_email(reply: Reply) -> Reply:
    """The second person of the page has no e-mail address."""
    answer = json.loads(b"".join(reply.body))
    answer["results"][1]["email"] = ""
    return whole(reply.status, json.dumps(answer).encode(), reply.headers)


def test_bad_user_of_the_api_is_listed_with_its_request_and_replayed_as_that_item(
    stack_settings: Settings, broker: Broker, run: Run, tmp_path: Path
) -> None:
    with Simulator(faults=always(without_email)) as api:
        source = stack_settings.source.model_copy(update={"urls": {run.pipeline.name: api.url}})
        settings = stack_settings.model_copy(update={"source": source})
        report = run_ingest(settings, run.pipeline, run.id, Interval(datetime.now(UTC)), 50)
    assert settled(stack_settings, run).equation(report.fetched) == "fetched 50 = stored 49 + dead-lettered 1"
    [letter] = letters(broker, run)
    assert (letter.reason, letter.origin.startswith(api.url), letter.origin.endswith("#1")) == (
        Reason.INVALID_VALUE,
        True,
        True,
    )
    file = tmp_path / "letters.jsonl"
    penstock(stack_settings, "dead-letters", "export", "--run", run.id, "--file", str(file))
    file.write_text(file.read_text("utf-8").replace(r"\"email\":\"\"", r"\"email\":\"corrected@example.com\""), "utf-8")
    assert "1 replayed" in penstock(stack_settings, "dead-letters", "replay", "--file", str(file)).stdout
    resolved(broker, run, 1)
    assert settled(stack_settings, run).equation(report.fetched) == "fetched 50 = stored 50 + dead-lettered 0"


def test_trace_finds_a_record_by_id_and_by_address_with_row_and_letters(
    stack_settings: Settings, broker: Broker, store: Store, run: Run
) -> None:
    key, sent = uuid4(), datetime.now(UTC) - timedelta(seconds=1)
    published(broker, run, user(key), sent=sent, ITEM="3/14")
    published(broker, run, user(key, email="another@example.com"), user(key, email=f"{key}@example.com", dob="x"))
    settled(stack_settings, run)
    # What the stream counts it keeps after the rows.
    until(lambda: all(m.batch is not None for m in trace(stack_settings, run.pipeline, str(key)).messages))
    by_address = trace(stack_settings, run.pipeline, f"{key}@EXAMPLE.com")
    by_id = trace(stack_settings, run.pipeline, str(key).upper())
    assert by_address.messages == by_id.messages
    first, second, bad = sorted(by_id.messages, key=lambda message: (bool(message.problem), message.sent))
    assert (first.run, first.item, first.key, first.problem) == (run.id, "3/14", str(key), "")
    assert first.write_time == first.sent == sent.replace(microsecond=sent.microsecond // 1_000 * 1_000)
    assert second.sent > first.sent
    assert bad.problem.startswith(Reason.UNKNOWN_FIELD)
    assert [found.values["email"] for found in by_address.rows] == ["another@example.com"]
    assert [(letter.reason, letter.origin) for letter in by_address.letters] == [
        (Reason.UNKNOWN_FIELD, f"{run.pipeline.topic}/{bad.partition}/{bad.offset}")
    ]


def test_trace_is_printed_and_says_what_it_searched_when_there_is_nothing(
    stack_settings: Settings, broker: Broker, run: Run
) -> None:
    key = uuid4()
    published(broker, run, user(key))
    settled(stack_settings, run)
    done = penstock(stack_settings, "trace", str(key))
    assert f"run {run.id}" in done.stdout
    assert f"row {key} of spark_streams.created_users" in done.stdout
    [found] = lines(penstock(stack_settings, "trace", str(key), "--json").stdout)
    assert found["rows"][0]["values"]["id"] == str(key)
    nothing = penstock(stack_settings, "trace", "nobody@example.org")
    assert (nothing.returncode, nothing.stdout) == (TraceError.exit_code, "")
    assert "messages of users_created" in nothing.stderr
    absent = penstock(stack_settings, "dead-letters", "show", "ffffffffffffffffffff")
    assert (absent.returncode, absent.stdout) == (LetterError.exit_code, "")
