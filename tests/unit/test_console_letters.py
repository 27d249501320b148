"""Dead letters in the console: found, judged, corrected, replayed and dismissed over HTTP; the topic is a list."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from penstock.errors import BrokerError
from penstock.pipelines.record import Header, Reason, letter_id
from tests.consoles import TOKEN, serving
from tests.pictures import DONE, held, picture
from tests.topics import AT_MS, BAD, GOOD, Kafka

LETTERS = "/p/users/letters"


@pytest.fixture(scope="module")
def topic() -> Kafka:
    return Kafka()


@pytest.fixture(scope="module")
def served(topic: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A browser that was let in."""
    with (
        serving(tmp_path_factory.mktemp("console"), picture(held((0, 100)), DONE), topic=topic) as console,
        httpx.Client(base_url=console.url, headers={"Origin": console.url}) as client,
    ):
        assert client.get(f"/?token={TOKEN}").status_code == 303
        yield client


@pytest.fixture
def client(served: httpx.Client, topic: Kafka) -> httpx.Client:
    """The same with a topic that was made again."""
    for messages in topic.letters.values():
        messages.clear()
    topic.published.clear()
    served.get(LETTERS)
    return served


def test_letters_are_found_by_reason_and_run(client: httpx.Client, topic: Kafka) -> None:
    wrong, missing = topic.reject("t/0/1"), topic.reject("t/0/2", b"{}", Reason.MISSING_FIELD, RUN="other")
    everything = client.get(LETTERS).text
    assert "2 open dead letters" in everything
    assert all(each in everything for each in (wrong, missing, "wrong_type (1)", "missing_field (1)"))
    assert wrong not in client.get(LETTERS, params={"reason": "missing_field"}).text
    assert missing not in client.get(LETTERS, params={"run": "r"}).text


def test_new_letters_are_there_without_reading_the_old_ones_again(client: httpx.Client, topic: Kafka) -> None:
    topic.reject("t/0/1")
    assert "1 open dead letter<" in client.get(LETTERS).text
    newer = topic.reject("t/0/2", partition=1)
    topic.resolve(newer)
    assert "1 open dead letter<" in client.get(LETTERS).text
    assert "2 dead letters" in client.get(LETTERS, params={"all": "1"}).text


def test_letter_shows_its_bytes_with_the_faulty_place(client: httpx.Client, topic: Kafka) -> None:
    identity = topic.reject("t/0/1", MESSAGE="username: Input should be a valid string")
    text = client.get(f"{LETTERS}/{identity[:12]}").text
    assert '<mark class="mark">7</mark>' in text
    assert "علی" in text


def test_letter_that_is_nobodys_is_not_there(client: httpx.Client) -> None:
    answer = client.get(f"{LETTERS}/abc")
    assert answer.status_code == 404
    assert "no dead letter of users_created.dead-letters has an id" in answer.text


def test_value_is_judged_as_a_replay_would(client: httpx.Client, topic: Kafka) -> None:
    letter = f"{LETTERS}/{topic.reject('t/0/1')}"
    client.get(letter)
    told = [client.post(f"{letter}/check", data={"value": value.decode()}).json()["problem"] for value in (BAD, GOOD)]
    assert told == ["wrong_type: username: Input should be a valid string", ""]
    assert topic.published == []


def test_good_correction_is_published_once_and_resolved_by_the_stream(client: httpx.Client, topic: Kafka) -> None:
    identity = topic.reject("t/0/1")
    answer = client.post(f"{LETTERS}/{identity}/replay", data={"value": GOOD.decode()})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{LETTERS}/{identity}?replayed=1")
    [message] = topic.published
    assert (message.value, message.headers[Header.REPLAYS]) == (GOOD, identity)
    assert message.headers[Header.WRITE_TIME_MS] == str(AT_MS)
    assert "the stream has yet to store it" in client.get(answer.headers["location"]).text
    topic.resolve(identity)
    text = client.get(f"{LETTERS}/{identity}").text
    assert "Resolved: its replay users_created/0/9 is a row." in text
    assert "<textarea" not in text


def test_bad_correction_is_not_published_and_stays_as_it_was_typed(client: httpx.Client, topic: Kafka) -> None:
    identity = topic.reject("t/0/1")
    typed = '{"typed": "<b>&amp;"}'
    answer = client.post(f"{LETTERS}/{identity}/replay", data={"value": typed})
    assert (answer.status_code, topic.published) == (422, [])
    assert "{&#34;typed&#34;: &#34;&lt;b&gt;&amp;amp;&#34;}" in answer.text
    assert "missing_field: id: Field required" in answer.text


def test_lines_of_a_form_are_those_that_were_typed(client: httpx.Client, topic: Kafka) -> None:
    identity = topic.reject("t/0/1")
    client.post(f"{LETTERS}/{identity}/replay", data={"value": GOOD.decode().replace(",", ",\r\n")})
    assert [message.value for message in topic.published] == [GOOD.replace(b",", b",\n")]


def test_letter_is_dismissed_with_a_reason(client: httpx.Client, topic: Kafka) -> None:
    identity = topic.reject("t/0/1")
    assert client.post(f"{LETTERS}/{identity}/dismiss", data={"why": "a <test>"}).status_code == 303
    assert "Dismissed: dismissal: a &lt;test&gt;." in client.get(f"{LETTERS}/{identity}").text


def test_correction_of_four_megabytes_is_taken_and_a_larger_one_refused(client: httpx.Client, topic: Kafka) -> None:
    identity = topic.reject("t/0/1")
    large = GOOD.replace("علی".encode(), b"x" * (4 * 1024 * 1024 - 1_000)).decode()
    assert client.post(f"{LETTERS}/{identity}/replay", data={"value": large}).status_code == 303
    too_large = client.post(f"{LETTERS}/{identity}/replay", data={"value": "x" * (6 * 1024 * 1024)})
    assert too_large.status_code == 400
    assert len(topic.published) == 1


def test_letter_without_bytes_and_letter_of_none_that_is_json(client: httpx.Client, topic: Kafka) -> None:
    empty, broken = topic.reject("t/0/1", None, Reason.NO_VALUE), topic.reject("t/0/2", b"a\xff", Reason.NOT_UTF8)
    assert "The message has no value." in client.get(f"{LETTERS}/{empty}").text
    assert '<mark class="mark odd">\\xff</mark>' in client.get(f"{LETTERS}/{broken}").text
    assert letter_id(b"t/0/2", b"a\xff") == broken


def test_page_number_that_is_none_is_the_first(client: httpx.Client, topic: Kafka) -> None:
    topic.reject("t/0/1")
    for page in ("-1", "x", "99999999999999999999", "٣"):
        assert client.get(LETTERS, params={"page": page}).status_code == 200


def test_reason_that_is_none_finds_nothing(client: httpx.Client, topic: Kafka) -> None:
    topic.reject("t/0/1")
    assert "0 open dead letters" in client.get(LETTERS, params={"reason": "' OR 1=1 --"}).text


class Silent(Kafka):
    """A Kafka that answers until it `is_gone`."""

    is_gone = False

    def identity(self, topic: str) -> str:
        if self.is_gone:
            raise BrokerError("no Kafka takes a connection: 127.0.0.1:9092")
        return super().identity(topic)


def test_kafka_that_goes_away_and_comes_back_is_a_page_that_says_so(tmp_path: Path) -> None:
    topic = Silent()
    letter = topic.reject("t/0/1")
    with (
        serving(tmp_path, picture(held((0, 100)), DONE), topic=topic) as console,
        httpx.Client(base_url=console.url) as client,
    ):
        client.get(f"/?token={TOKEN}")
        assert client.get(f"{LETTERS}/{letter}").status_code == 200
        topic.is_gone = True
        answer = client.get(f"{LETTERS}/{letter}")
        assert (answer.status_code, "no Kafka takes a connection" in answer.text) == (502, True)
        form = {"value": GOOD.decode()}
        replayed = client.post(f"{LETTERS}/{letter}/replay", data=form, headers={"Origin": console.url})
        assert (replayed.status_code, topic.published) == (502, [])
        topic.is_gone = False
        assert client.get(f"{LETTERS}/{letter}").status_code == 200
