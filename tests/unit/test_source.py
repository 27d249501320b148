"""The API is asked until the answer is the one that was asked for, and not for ever."""

import logging
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain, count, islice
from threading import Semaphore

import httpx
import pytest

from penstock.config import SourceSettings
from penstock.errors import ConfigError, SourceAnswerError, SourceError, SourceUnavailableError
from penstock.simulator import Fault, Faults, RateLimit, Reply, Simulator
from penstock.simulator import faults as spoil
from penstock.source import Generated, Interval, Source, seed_for
from penstock.source.ahead import ahead
from penstock.source.api import Answer, Api
from penstock.source.pace import Clock
from penstock.users import USERS

NOW = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
RUN = Interval(NOW)
SEED = seed_for(NOW)
SMALL = replace(USERS.source, paging=replace(USERS.source.paging, size=10))


class Waits(list[float]):
    """A clock's record of how long it was asked to sleep; nobody waits."""

    def clock(self) -> Clock:
        return Clock(now=lambda: NOW, monotonic_s=lambda: 0.0, sleep_s=self.append, chance=lambda: 0.5)


def fetch(url: str, records: int = 10, waits: Waits | None = None, **settings: float) -> list[Answer]:
    """All pages of a run."""
    chosen = SourceSettings.model_validate({"attempts": 4, **settings})
    with Api(SMALL, chosen, address=url, clock=(Waits() if waits is None else waits).clock()) as api:
        return list(api.pages(RUN, records))


def ids(pages: list[Answer]) -> list[str]:
    return [item["login"]["uuid"] for page in pages for item in page.items]


def spoiled(faults: Faults, waits: Waits | None = None, **settings: float) -> list[Answer]:
    """The pages of a run whose requests meet these faults."""
    with Simulator(faults=faults) as simulator:
        return fetch(simulator.url, waits=waits, **settings)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


# --- a good day ---


def test_only_the_last_page_is_smaller(simulator: Simulator) -> None:
    pages = fetch(simulator.url, records=25)
    assert [(page.number, len(page.items)) for page in pages] == [(1, 10), (2, 10), (3, 5)]


def test_same_seed_gives_the_same_people(simulator: Simulator) -> None:
    assert ids(fetch(simulator.url, records=25)) == ids(fetch(simulator.url, records=25))


def test_more_records_are_the_same_ones_and_then_more(simulator: Simulator) -> None:
    assert ids(fetch(simulator.url, records=38))[:25] == ids(fetch(simulator.url, records=25))


def test_page_says_where_it_came_from_and_when(simulator: Simulator) -> None:
    (page,) = fetch(simulator.url, records=2)
    assert page.url == f"{simulator.url}?seed={SEED}&page=1&results=2"
    assert (page.received_at, page.number) == (NOW, 1)
    assert page.body_bytes > 1000


def test_pages_are_fetched_one_by_one() -> None:
    with Simulator() as simulator, Api(SMALL, SourceSettings(), address=simulator.url) as api:
        next(api.pages(RUN, 1000))
        assert simulator.requests == 1


def test_next_page_is_fetched_while_the_caller_works_on_one() -> None:
    asked = Semaphore(0)
    fetched = ahead(page_of(asked))
    assert next(fetched).number == 1
    # Not before: nobody has asked for the second page, and yet it comes.
    assert all(asked.acquire(timeout=30) for _ in range(2))


def test_pages_fetched_ahead_are_the_same() -> None:
    assert [page.number for page in ahead(islice(page_of(Semaphore(0)), 50))] == list(range(1, 51))


def test_error_of_a_page_fetched_ahead_comes_in_its_place() -> None:
    fetched = ahead(chain(islice(page_of(Semaphore(0)), 3), broken()))
    assert [next(fetched).number for _ in range(3)] == [1, 2, 3]
    with pytest.raises(SourceAnswerError, match="no more"):
        next(fetched)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    fetched = ahead(page_of(Semaphore(0)))
    next(fetched)
    [thread] = set(threading.enumerate()) - before
    fetched.close()
    thread.join(30)
    assert not thread.is_alive()


def page_of(asked: Semaphore) -> Iterator[Answer]:
    """Pages without end; `asked` counts those that were asked for."""
    for number in count(1):
        asked.release()
        yield Answer("bench:", number, [], datetime.now(UTC), 0)


def broken() -> Iterator[Answer]:
    raise SourceAnswerError("bench:", "no more")
    yield  # a generator


def test_compressed_answers_are_read() -> None:
    assert ids(spoiled(spoil.always(spoil.gzipped))) == ids(spoiled(spoil.no_faults))


@pytest.mark.parametrize("records", [0, -1, 10 * 10_000 + 1])
def test_refuses_more_records_than_the_pages_hold(simulator: Simulator, records: int) -> None:
    with pytest.raises(ConfigError, match="gives 1 to 100000 in a run"):
        fetch(simulator.url, records=records)


# --- the seed ---


@pytest.mark.parametrize(
    "moment", [NOW, NOW.replace(microsecond=7), NOW.replace(year=1970), NOW.replace(year=1), NOW.replace(year=9999)]
)
def test_seed_has_one_length_and_never_eighteen_characters(moment: datetime) -> None:
    seed = seed_for(moment)
    assert len(seed) == 22
    assert all(len(f"{seed}{page}") != 18 for page in ("", 2, 10, 100, 1000, 10_000))


def test_seed_is_the_same_in_every_time_zone() -> None:
    assert seed_for(NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))) == SEED == "20250312T143000000000Z"


def test_seed_needs_an_aware_moment() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        seed_for(NOW.replace(tzinfo=None))


# --- a bad day that ends ---


@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(spoil.failing(status), id=str(status)) for status in (403, 429, 500, 502, 503, 504)),
        spoil.page_of_html,
        spoil.cut_body,
        spoil.cut_json,
        spoil.reset,
        spoil.fewer_items,
        pytest.param(spoil.wrong_echo(seed="other"), id="seed"),
        pytest.param(spoil.wrong_echo(page=2), id="page"),
        pytest.param(spoil.wrong_echo(results=1), id="results"),
        pytest.param(spoil.wrong_echo(version="1.5"), id="version"),
    ],
)
def test_asks_again(fault: Fault) -> None:
    assert ids(spoiled(spoil.first(fault))) == ids(spoiled(spoil.no_faults))


def test_bad_day_of_many_kinds_loses_and_repeats_nothing() -> None:
    bad = spoil.first(spoil.failing(429), spoil.reset, spoil.cut_body)
    with Simulator(faults=lambda n: bad(n - 1) if n > 1 else None) as simulator, Simulator() as good:
        assert ids(fetch(simulator.url, records=25)) == ids(fetch(good.url, records=25))
        assert simulator.requests == 6


def test_pauses_double_with_jitter() -> None:
    waits = Waits()
    spoiled(spoil.first(spoil.failing(503), spoil.failing(503), spoil.failing(503)), waits)
    assert waits == [0.5, 1.0, 2.0]


def test_pause_is_never_longer_than_allowed() -> None:
    waits = Waits()
    spoiled(spoil.first(spoil.failing(503), spoil.failing(429), spoil.failing(429)), waits, max_wait_s=3)
    assert waits == [0.5, 3, 3]


def test_default_attempts_outlast_the_window_of_the_real_limit() -> None:
    waits = Waits()
    spoiled(spoil.first(*[spoil.failing(429)] * 7), waits, attempts=SourceSettings().attempts)
    assert sum(waits) >= RateLimit().window_s


@pytest.mark.parametrize(
    ("said", "waited"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Wed, 12 Mar 2025 14:30:09 GMT", 9.0),
        ("Wed, 12 Mar 2025 14:30:09 -0000", 9.0),
        ("Wed, 12 Mar 2025 14:29:00 GMT", 0.0),
        ("soon", 0.5),
        ("-1", 0.5),
    ],
)
def test_waits_as_long_as_the_api_asks(said: str, waited: float) -> None:
    waits = Waits()
    spoiled(spoil.first(spoil.failing(503, Retry_After=said)), waits)
    assert waits == [waited]


def test_each_pause_is_one_line_of_warning(caplog: pytest.LogCaptureFixture) -> None:
    spoiled(spoil.first(spoil.failing(503), spoil.failing(503)))
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(lines) == 2
    assert lines[0].endswith("503 Service Unavailable; attempt 1 of 4, the next in 0.5 s")


def test_drip_of_bytes_does_not_hold_a_run() -> None:
    with Simulator() as simulator:
        settings = SourceSettings(attempts=2)
        clock = replace(Waits().clock(), monotonic_s=count(0.0, step=100.0).__next__)
        with (
            Api(USERS.source, settings, address=simulator.url, clock=clock) as api,
            pytest.raises(SourceUnavailableError, match="120 s"),
        ):
            next(api.pages(RUN, 1000))


# --- a bad day that does not end ---


def test_gives_up_after_its_attempts_and_says_why() -> None:
    with (
        Simulator(faults=spoil.always(spoil.failing(503))) as simulator,
        pytest.raises(SourceUnavailableError) as caught,
    ):
        fetch(simulator.url)
    assert (caught.value.attempts, simulator.requests) == (4, 4)
    assert caught.value.url == f"{simulator.url}?seed={SEED}&page=1&results=10"
    assert "4 attempts; the last one: 503 Service Unavailable" in str(caught.value)


def test_wish_to_wait_too_long_ends_the_attempts() -> None:
    waits = Waits()
    with pytest.raises(SourceUnavailableError, match="429 Too Many Requests, to be asked again in 3600 s"):
        spoiled(spoil.always(spoil.failing(429, Retry_After="3600")), waits)
    assert waits == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (spoil.fewer_items, "it holds 9 items where 10 were asked for"),
        (spoil.wrong_echo(page=7), "info.page is 7 where '1' was asked for"),
        (spoil.wrong_echo(version=True), "info.version is True where '1.4' was asked for"),
    ],
)
def test_answer_to_another_question_is_told_apart(fault: Fault, said: str) -> None:
    with pytest.raises(SourceAnswerError, match="in each of 4 attempts") as caught:
        spoiled(spoil.always(fault))
    assert said in str(caught.value)


def bomb(reply: Reply) -> Reply:
    """A gigabyte of zeros would be 1 MB; this one is 20 MB in 20 kB."""
    return spoil.gzipped(replace(reply, body=[bytes(20_000_000)]))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (spoil.failing(404), "answered, but with 404 Not Found"),
        (spoil.failing(400), "answered, but with 400 Bad Request"),
        (spoil.failing(301, Location="http://example.com/"), "to http://example.com/: no redirect is followed"),
        (bomb, "more than 65536 bytes, the limit (source.max_response_bytes)"),
        (lambda reply: spoil.whole(200, bytes(70_000), {}), "more than 65536 bytes"),
        (lambda reply: replace(reply, headers={"Content-Encoding": "br"}), "encoded as 'br'; asked for was gzip"),
    ],
)
def test_what_asking_again_cannot_change_ends_at_once(fault: Callable[[Reply], Reply], said: str) -> None:
    with Simulator(faults=spoil.always(fault)) as simulator, pytest.raises(SourceAnswerError) as caught:
        fetch(simulator.url, max_response_bytes=65_536)
    assert said in str(caught.value)
    assert simulator.requests == 1


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"results": NaN}', b"\xff", b"1" * 5000, b""])
def test_body_that_is_no_json_is_no_answer(body: bytes) -> None:
    with pytest.raises(SourceUnavailableError, match="which are not JSON"):
        spoiled(spoil.always(lambda reply: spoil.whole(200, body, reply.headers)))


def test_no_error_shows_what_a_person_said() -> None:
    with pytest.raises(SourceUnavailableError) as caught:
        spoiled(spoil.always(spoil.cut_json))
    assert "@example.com" not in str(caught.value)


def test_nobody_listening_is_told_plainly() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{holder.getsockname()[1]}/api/"
        with pytest.raises(SourceUnavailableError, match="Connection refused"):
            fetch(url)


def request_errors(kind: type[httpx.RequestError] = httpx.RequestError) -> list[type[httpx.RequestError]]:
    return [kind, *(found for sub in kind.__subclasses__() for found in request_errors(sub))]


@pytest.mark.parametrize("kind", request_errors())
def test_no_error_of_the_client_library_gets_out(kind: type[httpx.RequestError]) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise kind("as it happens")

    settings, where = SourceSettings(attempts=2), "http://127.0.0.1/"
    api = Api(SMALL, settings, address=where, transport=httpx.MockTransport(fail), clock=Waits().clock())
    with api, pytest.raises(SourceError, match=f"{kind.__name__}: as it happens"):
        next(api.pages(RUN, 1))


# --- the address ---


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com/api", "http://", "http://[::"])
def test_address_must_be_one(url: str) -> None:
    with pytest.raises(ConfigError, match="the source's address is "):
        fetch(url)


def test_declared_address_holds_unless_settings_name_another() -> None:
    asked: list[httpx.URL] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(404)

    with Api(SMALL, SourceSettings(), transport=httpx.MockTransport(refuse)) as api, pytest.raises(SourceAnswerError):
        next(api.pages(RUN, 1))
    assert asked[0].host == "randomuser.me"


KEYED = "http://me:hidden@127.0.0.1/api/?key=hidden"


def test_password_and_key_in_the_address_are_used_and_never_shown(simulator: Simulator) -> None:
    (page,) = fetch(KEYED.replace("127.0.0.1/api/", simulator.url.removeprefix("http://")), records=2)
    assert page.url == f"{simulator.url}?key=***&seed={SEED}&page=1&results=2"


ANSWERS: dict[str, tuple[int, bytes, dict[str, str]]] = {
    "refused": (404, b"", {}),
    "limited": (429, b"", {}),
    "failed": (500, b"", {}),
    "no JSON": (200, b"{", {}),
    "other JSON": (200, b'{"results": []}', {}),
    "moved": (302, b"", {"Location": KEYED}),
    "of another encoding": (200, b"?", {"Content-Encoding": "br"}),
    "broken": (200, b"?", {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_no_error_and_no_log_shows_the_key_of_the_api(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        status, body, headers = ANSWERS[kind]
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))

    settings = SourceSettings(attempts=2)
    api = Api(SMALL, settings, address=KEYED, transport=httpx.MockTransport(answer), clock=Waits().clock())
    with caplog.at_level(logging.INFO), api, pytest.raises(SourceError, match=r"key=\*\*\*") as caught:
        next(api.pages(RUN, 1))
    assert asked[0].params["key"] == "hidden"
    assert "hidden" not in str(caught.value) + caplog.text


@pytest.mark.parametrize("url", ["http://me:hid/den@host/", "http://me:hid?den@host/", "ftp://me:hidden@host/?hidden"])
def test_an_address_that_is_refused_shows_no_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fetch(url)
    assert "hid" not in "".join(traceback.format_exception(caught.value))


def test_any_api_can_be_declared(simulator: Simulator) -> None:
    other = Source(
        url=simulator.url,
        items="results",
        paging=Generated(seed_param="seed", page_param="page", size_param="results", size=3, max_pages=2, records=4),
    )
    with Api(other, SourceSettings()) as api:
        assert [len(page.items) for page in api.pages(RUN, 5)] == [3, 2]
        assert [len(page.items) for page in api.pages(RUN)] == [3, 1]
