"""Dead letters read, exported, corrected and replayed, over a topic that is a list in memory."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.audit.letters import (
    Body,
    Filter,
    Letter,
    LetterIndex,
    Outcome,
    State,
    corrections,
    dismiss,
    export,
    replay,
)
from penstock.errors import LetterError
from penstock.pipelines.contract import From, Record
from penstock.pipelines.record import Header, Reason, Rejected, from_api, letter_id
from penstock.pipelines.types import JsonText
from penstock.source.body import reader
from penstock.users import USERS
from penstock.views.console import plain
from tests.topics import AT, AT_MS, BAD, GOOD, Kafka

NOW = datetime(2025, 4, 1, tzinfo=UTC)


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def read(kafka: Kafka) -> Iterator[Callable[[], LetterIndex]]:
    """Opens the book as it is at that moment."""
    books: list[LetterIndex] = []

    def opened() -> LetterIndex:
        books.append(LetterIndex(USERS, kafka).read())
        return books[-1]

    yield opened
    for book in books:
        book.__exit__()


Read = Callable[[], LetterIndex]


def replayed(kafka: Kafka, book: LetterIndex, choice: Filter | None = None, file: Path | None = None) -> list[Outcome]:
    outcomes: list[Outcome] = []
    bodies = book.corrected(corrections(file)) if file else book.bodies(choice)
    replay(USERS, bodies, NOW, kafka, outcomes.append)
    return outcomes


def test_a_letter_is_shown_with_what_its_headers_say(kafka: Kafka, read: Read) -> None:
    identity = kafka.reject("users_created/0/7")
    [letter] = read().letters()
    assert letter == Letter(identity, "wrong_type", "m", "r", "users_created/0/7", AT, None, None)


def test_letter_without_a_source_time_is_not_replayed(kafka: Kafka, read: Read) -> None:
    kafka.reject("users_created/0/7", GOOD, Reason.UNKNOWN_TIME)
    [outcome] = replayed(kafka, read())
    assert (outcome.state, kafka.published) == (State.STILL_BAD, [])
    assert "run it again" in outcome.problem


def test_a_letter_written_twice_is_read_once_and_keeps_its_place(kafka: Kafka, read: Read) -> None:
    for key in ("t/0/1", "t/0/2", "t/0/1"):
        kafka.reject(key)
    assert [letter.origin for letter in read().letters()] == ["t/0/1", "t/0/2"]
    assert [letter.origin for letter in read().letters(newest=1)] == ["t/0/2"]


def test_other_bytes_at_the_same_origin_are_another_letter(kafka: Kafka, read: Read) -> None:
    first = kafka.reject("t/0/1", b"{")
    kafka.resolve(first)
    second = kafka.reject("t/0/1", b"[")
    kafka.reject("t/0/1", None)
    kafka.reject("t/0/1", b"")
    assert next(letter.id for letter in read().letters()) == second
    assert read().count(Filter(resolved=True)) == 4


def test_letters_are_chosen_by_reason_run_and_beginning_of_the_id(kafka: Kafka, read: Read) -> None:
    one = kafka.reject("t/0/1", reason="not_utf8", RUN="a")
    kafka.reject("t/0/2", RUN="a")
    kafka.reject("t/0/3", RUN="b", partition=1)
    chosen = [Filter("not_utf8"), Filter(run="b"), Filter("not_utf8", "b"), Filter(ids=(one[:8].upper(),))]
    found = [[letter.origin for letter in read().letters(choice)] for choice in chosen]
    assert found == [["t/0/1"], ["t/0/3"], [], ["t/0/1"]]
    assert [letter.origin for letter, _, _ in read().bodies(Filter(run="b"))] == ["t/0/3"]


def test_an_id_that_is_nobodys_or_several_letters_is_an_error_that_helps(kafka: Kafka, read: Read) -> None:
    ids = {kafka.reject(f"t/0/{number}") for number in range(20)}
    twice = next(identity[0] for identity in ids if sum(other[0] == identity[0] for other in ids) > 1)
    with pytest.raises(LetterError, match=f"'{twice}' begins several ids"):
        read().find(twice)
    for nobodys in ("xyz", "", "%", "a" * 64):
        with pytest.raises(LetterError, match="dead-letters list"):
            read().find(nobodys)


def test_resolved_letters_are_known_and_left_out(kafka: Kafka, read: Read) -> None:
    identity = kafka.reject("t/0/1")
    kafka.reject("t/0/2")
    kafka.resolve(identity)
    kafka.reject("t/0/1")
    kafka.resolve(identity)
    assert [letter.origin for letter in read().letters()] == ["t/0/2"]
    [letter, _] = read().letters(Filter(resolved=True))
    assert (letter.origin, letter.resolved_by) == ("t/0/1", "users_created/0/9")


def test_resolution_read_before_its_letter_counts(kafka: Kafka, read: Read) -> None:
    kafka.resolve(letter_id(b"t/0/1", BAD))
    kafka.reject("t/0/1", partition=1)
    assert list(read().letters()) == []


def test_replay_that_was_rejected_is_the_same_letter(kafka: Kafka, read: Read) -> None:
    identity = kafka.reject("t/0/1")
    for _ in range(2):
        kafka.reject("t/0/8", b"[]", Reason.NOT_AN_OBJECT, REPLAYS=identity)
    [letter] = read().letters()
    assert (letter.id, letter.reason, letter.rejected_again) == (identity, "wrong_type", "not_an_object: m")
    [(_, message, value)] = read().bodies()
    assert (message.offset, value) == (0, BAD)


def test_replay_of_a_letter_that_the_topic_never_had_is_not_hidden(kafka: Kafka, read: Read) -> None:
    kafka.reject("t/0/8", b"[]", REPLAYS="a" * 64)
    assert [(letter.id, letter.origin) for letter in read().letters()] == [("a" * 64, "t/0/8")]


def test_good_replay_is_an_ordinary_message_of_its_run_with_the_originals_write_time(kafka: Kafka, read: Read) -> None:
    identity = kafka.reject("users_created/0/7", GOOD, VERSION="0")
    assert [outcome.state for outcome in replayed(kafka, read())] == [State.REPLAYED]
    [message] = kafka.published
    assert (message.topic, message.key, message.value, message.timestamp) == (
        USERS.topic,
        str(UUID(int=1)).encode(),
        GOOD,
        NOW,
    )
    assert message.headers == {
        Header.PIPELINE: "users",
        Header.VERSION: "1",
        Header.RUN: "r",
        Header.ITEM: "users_created/0/7",
        Header.REPLAYS: identity,
        Header.WRITE_TIME_MS: str(AT_MS),
    }


def test_replay_of_an_item_of_ingest_stays_that_item(kafka: Kafka, read: Read) -> None:
    kafka.reject("users_created/0/7", GOOD, ITEM="2/13")
    replayed(kafka, read())
    assert kafka.published[0].headers[Header.ITEM] == "2/13"


def test_letter_that_is_still_bad_is_not_published(kafka: Kafka, read: Read) -> None:
    kafka.reject("t/0/1")
    [outcome] = replayed(kafka, read())
    assert (outcome.state, outcome.problem) == (State.STILL_BAD, "wrong_type: username: Input should be a valid string")
    assert kafka.published == []


def test_resolved_letter_is_not_published_again(kafka: Kafka, read: Read) -> None:
    identity = kafka.reject("t/0/1", GOOD)
    kafka.resolve(identity)
    [outcome] = replayed(kafka, read(), Filter(ids=(identity,), resolved=True))
    assert (outcome.state, kafka.published) == (State.RESOLVED, [])


def dismissed(kafka: Kafka, book: LetterIndex, why: str = "") -> list[str]:
    chosen = book.letters(Filter(resolved=True))
    return [letter.origin for letter in dismiss(USERS, chosen, why, NOW, kafka)]


def test_dismissed_letter_is_closed_and_says_why(kafka: Kafka, read: Read) -> None:
    kafka.reject("t/0/1")
    assert dismissed(kafka, read(), "a test of theirs") == ["t/0/1"]
    assert list(read().letters()) == []
    [letter] = read().letters(Filter(resolved=True))
    assert (letter.resolved_by, letter.is_dismissed) == ("dismissal: a test of theirs", True)


def test_what_is_closed_is_not_dismissed_again(kafka: Kafka, read: Read) -> None:
    kafka.resolve(kafka.reject("t/0/1"))
    kafka.reject("t/0/2")
    assert [dismissed(kafka, read()) for _ in range(2)] == [["t/0/2"], []]
    assert {letter.resolved_by for letter in read().letters(Filter(resolved=True))} == {
        "users_created/0/9",
        "dismissal",
    }


def test_replay_takes_a_dismissal_back(kafka: Kafka, read: Read) -> None:
    identity = kafka.reject("t/0/1", GOOD)
    dismissed(kafka, read())
    [outcome] = replayed(kafka, read(), Filter(ids=(identity,), resolved=True))
    kafka.resolve(identity)
    assert outcome.state is State.REPLAYED
    assert [letter.is_dismissed for letter in read().letters(Filter(resolved=True))] == [False]


def test_dry_run_tells_the_same_and_publishes_nothing(kafka: Kafka, read: Read) -> None:
    kafka.reject("t/0/1", GOOD)
    kafka.reject("t/0/2")
    outcomes: list[Outcome] = []
    replay(USERS, read().bodies(), NOW, None, outcomes.append)
    assert [outcome.state for outcome in outcomes] == [State.REPLAYED, State.STILL_BAD]


def test_item_of_the_api_is_mapped_again(kafka: Kafka, read: Read) -> None:
    example = json.loads((Path(__file__).parents[1] / "data" / "randomuser-1.4.json").read_text("utf-8"))["results"][0]
    origin: dict[str, Any] = {"ORIGIN_URL": "http://api/?page=2", "ORIGIN_INDEX": "13", "ITEM": "2/13"}
    kafka.reject("r/http://api/?page=2#13", json.dumps(example).encode(), **origin)
    for number, value in enumerate((b"{}", b"{", b"\xff", b"[1]", None)):
        kafka.reject(f"r/x#{number}", value, **origin)
    outcomes = replayed(kafka, read())
    assert [outcome.problem.split(":")[0] for outcome in outcomes] == [
        *("", Reason.MISSING_FIELD, Reason.MALFORMED_JSON, Reason.NOT_UTF8, Reason.NOT_AN_OBJECT, Reason.NO_VALUE)
    ]
    assert outcomes[0].letter.origin == "http://api/?page=2#13"
    assert json.loads(kafka.published[0].value)["id"] == example["login"]["uuid"]


class Priced(Record):
    """A record with an exact number."""

    id: Annotated[int, From("id")]
    price: Annotated[Decimal, From("price")]
    rest: Annotated[JsonText, From("rest")]


def test_a_replayed_item_has_the_numbers_of_the_answer(kafka: Kafka, read: Read) -> None:
    item = b'{"id":%s,"price":0.1234567890123456789012345,"rest":[1.50]}'
    pipeline = USERS.model_copy(update={"record": Priced, "key": "id"})
    rejected = from_api(pipeline, reader("", ndjson=False)(item % b'"1"'))
    assert isinstance(rejected, Rejected)
    assert rejected.original == item % b'"1"'
    kafka.reject("r/x#0", item % b"1", ORIGIN_URL="http://api/", ORIGIN_INDEX="0", ITEM="1/0")
    outcomes: list[Outcome] = []
    replay(pipeline, read().bodies(), NOW, kafka, outcomes.append)
    assert [outcome.problem for outcome in outcomes] == [""]
    assert kafka.published[0].value == b'{"id":1,"price":"0.1234567890123456789012345","rest":"[1.50]"}'


@pytest.mark.parametrize(
    ("seen", "expected_ms"),
    [
        ("2025-03-12T14:30:00.123456+00:00", AT_MS),
        ("2025-03-12T16:30:00.123+02:00", AT_MS),
        ("2025-03-12T14:30:00.123", AT_MS),
        ("yesterday", AT_MS + 500),
        ("2999-01-01T00:00:00Z", AT_MS + 500),
        ("1969-01-01T00:00:00Z", 0),
    ],
)
def test_write_time_is_when_the_original_was_sent(kafka: Kafka, read: Read, seen: str, expected_ms: int) -> None:
    kafka.reject("t/0/1", GOOD, FIRST_SEEN=seen)
    replayed(kafka, read())
    assert kafka.published[0].headers[Header.WRITE_TIME_MS] == str(expected_ms)


def test_exported_letters_are_edited_and_replayed(kafka: Kafka, read: Read, tmp_path: Path) -> None:
    corrected, as_it_was = kafka.reject("t/0/1"), kafka.reject("t/0/2", b"\xff", partition=1)
    file = tmp_path / "letters.jsonl"
    assert export(read().bodies(), file) == 2
    kafka.reject("t/0/3", GOOD)  # not in the file
    file.write_text(file.read_text("utf-8").replace(r"\"username\":7", r"\"username\":\"seven\""), "utf-8")
    outcomes = {outcome.letter.id: outcome.state for outcome in replayed(kafka, read(), file=file)}
    assert outcomes == {corrected: State.REPLAYED, as_it_was: State.STILL_BAD}
    assert [message.value for message in kafka.published] == [GOOD.replace(b'"u"', b'"seven"')]


def test_export_replaces_no_file(kafka: Kafka, read: Read, tmp_path: Path) -> None:
    kafka.reject("t/0/1")
    file = tmp_path / "letters.jsonl"
    file.write_text("an hour of corrections")
    with pytest.raises(LetterError, match="File exists"):
        export(read().bodies(), file)
    assert file.read_text() == "an hour of corrections"


def test_export_that_fails_leaves_no_half_of_a_file(read: Read, tmp_path: Path) -> None:
    def broken() -> Iterator[Body]:
        yield from read().bodies(Filter(ids=("nobody's",)))

    with pytest.raises(LetterError, match="no dead letter"):
        export(broken(), tmp_path / "letters.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is not JSON"),
        ("[]", "line 2 is no dead letter"),
        ("{}", "line 2 is no dead letter"),
        ('{"id": "ID"}', "line 2 is no dead letter"),
        ('{"id": "ID", "value": {}}', "line 2 is no dead letter"),
        ('{"id": "ID", "value": "a", "value_base64": ""}', "line 2 is no dead letter"),
        ('{"id": "ID", "value_base64": "*"}', "line 2 is no dead letter"),
        (r'{"id": "ID", "value": "\ud800"}', "line 2 is no dead letter"),
        ('{"id": "ffffffff", "value": ""}', "no dead letter of"),
        ('{"id": "ID", "value": ""}', "line 1 and .*line 2 are the same dead letter"),
    ],
)
def test_file_with_a_line_that_is_wrong_replays_nothing(
    kafka: Kafka, read: Read, tmp_path: Path, line: str, said: str
) -> None:
    identity = kafka.reject("t/0/1")
    file = tmp_path / "letters.jsonl"
    good_line = json.dumps({"id": identity, "value": GOOD.decode()})
    file.write_text(f"{good_line}\n{line.replace('ID', identity)}\n")
    with pytest.raises(LetterError, match=said):
        replayed(kafka, read(), file=file)
    assert kafka.published == []


def test_file_that_is_not_there_is_an_error(kafka: Kafka, read: Read, tmp_path: Path) -> None:
    with pytest.raises(LetterError, match="cannot be read"):
        replayed(kafka, read(), file=tmp_path / "none.jsonl")


@given(
    value=st.none() | st.binary(max_size=60) | st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_survive_export_and_file(value: bytes | None) -> None:
    kafka = Kafka()
    kafka.reject("t/0/1", value)
    with TemporaryDirectory() as folder, LetterIndex(USERS, kafka) as book:
        export(book.read().bodies(), Path(folder, "f"))
        assert [corrected for _, _, corrected in book.corrected(corrections(Path(folder, "f")))] == [value]


@given(st.text())
def test_text_of_strangers_cannot_steer_the_terminal(text: str) -> None:
    assert all(letter.isprintable() or letter == "\n" for letter in plain(text))
