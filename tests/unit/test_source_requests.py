"""What a request says: the run's interval, credentials that go nowhere else, and the pace of the API."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from penstock import users
from penstock.config import SourceSettings, read_settings
from penstock.errors import ConfigError, ContractError, SourceAnswerError, SourceError, SourceUnavailableError
from penstock.ingest import Run, ingest
from penstock.simulator import Asked, Reply
from penstock.simulator import faults as spoil
from penstock.source import (
    ApiKey,
    Basic,
    Bearer,
    Generated,
    Interval,
    Link,
    NextUrl,
    OAuth2ClientCredentials,
    Page,
    PerSecond,
    Source,
)
from penstock.source.api import USERS_API, address
from penstock.source.secrets import Secrets
from penstock.users import USERS
from tests.apis import NOW, RUN, Read, basic_header, json_reply, rows, serving

TOKEN = "hidden-token"
KEPT = {"TOKEN": TOKEN}


class Recorder:
    """Answers with three rows and keeps what was asked."""

    def __init__(self, answer: Callable[[Asked], Reply] | None = None) -> None:
        self.asked: list[Asked] = []
        self._answer = answer or (lambda _: json_reply(rows(3)))

    def __call__(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        return self._answer(asked)


def asked_by(interval: Interval = RUN, environment: dict[str, str] | None = None, **source: Any) -> Asked:
    """The one request of a source."""
    recorder = Recorder()
    with serving(recorder) as url:
        Read(environment or {}).pages(Source(source.pop("url", url).replace("URL", url), "", **source), interval)
    [asked] = recorder.asked
    return asked


# --- the interval ---


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{start}", "2025-03-11T00:00:00Z"),
        ("{end:%Y-%m-%d}", "2025-03-12"),
        ("{start:%Y-%m-%dT%H:%M:%SZ}", "2025-03-11T00:00:00Z"),
        ("{start:epoch}", "1741651200"),
        ("{end:epoch_ms}", "1741737600000"),
        ("{logical_date:%H%M}", "1430"),
        ("{seed}", RUN.seed),
        ("from {start:%d} to {end:%d}", "from 11 to 12"),
        ("{{start}}", "{start}"),
        ("{ viewer { login } }", "{ viewer { login } }"),
    ],
)
def test_marks_become_what_the_run_is_about(template: str, text: str) -> None:
    assert RUN.filled(template) == text


def test_interval_may_stand_in_every_part_of_a_request() -> None:
    day = "{start:%Y%m%d}"
    asked = asked_by(
        url=f"URL/{day}",
        params={"since": day, "all": True, "labels": ["a", day]},
        headers={"X-Day": day},
        method="POST",
        json={"filter": {"days": [day, 7]}},
    )
    assert asked.target == "/items/20250311?since=20250311&all=true&labels=a&labels=20250311"
    assert (asked.headers["X-Day"], asked.method) == ("20250311", "POST")
    assert json.loads(asked.body) == {"filter": {"days": ["20250311", 7]}}


def test_interval_in_another_time_zone_is_the_same() -> None:
    there = timezone(timedelta(hours=5, minutes=45))
    moved = Interval(*(moment.astimezone(there) for moment in (NOW, datetime(2025, 3, 11, tzinfo=UTC), NOW)))
    assert moved.filled("{start} {seed}") == f"2025-03-11T00:00:00Z {RUN.seed}"


def test_run_without_an_interval_is_told_how_to_get_one() -> None:
    with pytest.raises(ConfigError, match=r"asks for \{start\}, but this run has no data interval.*--from and --to"):
        asked_by(Interval(NOW), params={"since": "{start}"})


def test_empty_interval_is_no_question_for_what_lies_before_its_end() -> None:
    empty = Interval(NOW, NOW, NOW)
    assert empty.filled("{start}") == "2025-03-12T14:30:00Z"
    with pytest.raises(ConfigError, match=r"data interval is empty: it begins and ends at 2025-03-12T14:30:00\+00:00"):
        empty.filled({"until": "{end}"})


def test_interval_that_ends_before_it_starts_is_none() -> None:
    with pytest.raises(ConfigError, match="ends before it starts"):
        Interval(NOW, NOW, NOW - timedelta(days=1))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{strat}", r"\{strat\} is no part of a run; there are \{start\}, \{end\}, \{logical_date\}, \{seed\}"),
        ("{start:%s}", "%s depends on the machine's time zone"),
        ("{seed:x}", "takes no format"),
    ],
)
def test_mark_that_no_run_could_fill_is_refused_when_it_is_declared(value: str, says: str) -> None:
    for part in ({"params": {"a": value}}, {"headers": {"a": value}}, {"json": [value], "method": "POST"}):
        with pytest.raises(ContractError, match=says):
            Source("http://127.0.0.1/", "", **part)


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        ({"params": {"since": "{start}"}}, True),
        ({"method": "POST", "json": {"a": ["{end:epoch}"]}}, True),
        ({"params": {"seed": "{seed}", "day": "{logical_date}", "text": "{{start}}"}}, False),
    ],
)
def test_source_knows_whether_it_needs_an_interval(source: dict[str, Any], needs: bool) -> None:
    assert Source("http://127.0.0.1/", "", **source).needs_interval is needs


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"json": {}}, 'is asked with method="POST"'),
        ({"items": "data", "ndjson": True}, "has its items at the root"),
        ({"auth": {"secret": "x"}}, "ApiKey: name either"),
        ({"rate": {"requests": 0}}, "rate"),
        ({"pagin": None}, "pagin"),
        ({"at_least": -1}, "at_least"),
    ],
)
def test_source_that_contradicts_itself_is_refused(source: dict[str, Any], says: str) -> None:
    with pytest.raises((ContractError, ValidationError), match=says):
        Source(**{"url": "http://127.0.0.1/", "items": "", **source})


def test_number_of_records_is_asked_only_of_an_api_that_makes_them_up() -> None:
    source = Source("http://127.0.0.1/", "", paging=Page())
    assert (source.asked(), source.most_records) == (None, None)
    with pytest.raises(ConfigError, match="20 records cannot be asked for: this API says itself how many there are"):
        source.asked(20)
    made_up = Generated(seed_param="s", page_param="p", size_param="n", size=10, max_pages=9, records=7)
    assert replace(source, paging=made_up).asked() == 7


# --- the address ---


def test_the_simulator_stands_for_the_users_api_only() -> None:
    settings = SourceSettings(simulator="http://simulated/")
    own = Source("https://api.example.com/", "data")
    assert address("users", USERS.source, settings) == "http://simulated/"
    assert address("users", own, settings) == "https://api.example.com/"
    assert address("orders", USERS.source, settings) == USERS_API
    assert address("orders", own, settings) == "https://api.example.com/"


def test_each_pipelines_setting_stands_in_place_of_its_declared_address() -> None:
    settings = SourceSettings(simulator="http://simulated/", urls={"orders": "http://o/", "users": "http://u/"})
    own = Source("https://api.example.com/", "data")
    assert [address(name, own, settings) for name in ("users", "orders", "others")] == [
        "http://u/",
        "http://o/",
        "https://api.example.com/",
    ]


def test_address_in_a_copy_of_the_users_declaration_is_what_is_asked() -> None:
    text = Path(users.__file__).read_text("utf-8").replace(USERS_API, "http://own.example.com/people")
    copy: dict[str, Any] = {"__name__": "copy"}
    exec(compile(text, "copy.py", "exec"), copy)  # noqa: S102 - a file of ours
    pipeline = copy["USERS"]
    assert address(pipeline.name, pipeline.source, read_settings({}).source) == "http://own.example.com/people"


def test_settings_of_addresses_come_from_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('[source.urls]\norders = "http://file/"\nusers = "http://file/"\n[source.secrets]\nT = "hidden"\n')
    read = read_settings({"PENSTOCK_CONFIG": str(file), "PENSTOCK_SOURCE_URL_USERS": "http://environment/"})
    assert read.source.urls == {"orders": "http://file/", "users": "http://environment/"}
    assert Secrets.of(read.source).read("T") == "hidden"
    assert "hidden" not in repr(read)
    assert read_settings(read.environment()).source == read.source
    (tmp_path / "again.json").write_text(read.as_json())
    assert read_settings({"PENSTOCK_CONFIG": str(tmp_path / "again.json")}).source == read.source
    hidden = read.with_credentials_of("kafka").source
    assert (hidden.urls, hidden.secrets) == ({}, {})


@pytest.mark.parametrize("value", ["", "{}"])
def test_address_that_is_set_to_nothing_is_not_set(value: str) -> None:
    assert read_settings({"PENSTOCK_SOURCE_URL_USERS": "", "PENSTOCK_SOURCE_URLS": value}).source.urls == {}


@pytest.mark.parametrize("value", ["[1", "[1]", '"x"', '{"users": 7}'])
def test_addresses_that_are_no_table_are_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigError, match=r"source\.urls"):
        read_settings({"PENSTOCK_SOURCE_URLS": value})


@pytest.mark.parametrize("table", ['secrets.T = "hid\\nden"', "secrets.T = ['hidden']", "urls.users = ['hidden']"])
def test_no_error_shows_a_value_of_a_table_of_secrets(table: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(f"[source]\n{table}\n")
    with pytest.raises(ConfigError, match="is a secret, which is not allowed") as caught:
        read_settings({"PENSTOCK_CONFIG": str(tmp_path / "own.toml")})
    assert "hid" not in str(caught.value)


# --- credentials ---


@pytest.mark.parametrize(
    ("auth", "proof"),
    [
        (Bearer(secret="TOKEN"), ("Authorization", f"Bearer {TOKEN}")),
        (ApiKey(secret="TOKEN", header="X-Key"), ("X-Key", TOKEN)),
        (Basic(username="me", secret="TOKEN"), ("Authorization", basic_header("me", TOKEN))),
    ],
)
def test_secret_is_sent_as_declared(auth: Any, proof: tuple[str, str]) -> None:
    assert asked_by(environment=KEPT, auth=auth).headers[proof[0]] == proof[1]


def test_key_may_stand_in_the_query() -> None:
    assert asked_by(environment=KEPT, auth=ApiKey(secret="TOKEN", param="key")).query == {"key": TOKEN}


@pytest.mark.parametrize("places", [{}, {"header": "X-Key", "param": "key"}])
def test_key_has_one_place(places: dict[str, str]) -> None:
    with pytest.raises(ContractError, match="name either the header= or the param="):
        ApiKey(secret="TOKEN", **places)


def test_secret_of_the_settings_wins_over_the_environment() -> None:
    secrets = Secrets({"TOKEN": SecretStr("given")}, environment=KEPT.get)
    assert secrets.read("TOKEN") == "given"


def test_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert Secrets().read(f"file:{tmp_path}/token") == TOKEN
    with pytest.raises(ConfigError, match="none cannot be read: No such file"):
        Secrets().read(f"file:{tmp_path}/none")


def test_secret_may_be_a_connection_of_airflow() -> None:
    assert Secrets(connection={"issues": TOKEN}.get).read("airflow:issues") == TOKEN
    with pytest.raises(ConfigError, match="only its tasks can read it"):
        Secrets().read("airflow:issues")


@pytest.mark.parametrize("value", [None, ""])
def test_secret_that_is_not_there_is_named_with_what_to_do(value: str | None) -> None:
    with pytest.raises(ConfigError, match=r"secret TOKEN is empty or not there. Set the environment variable TOKEN"):
        Secrets(environment=lambda _: value).read("TOKEN")


def test_secret_that_no_header_can_carry_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="a line break") as caught:
        Secrets(environment=lambda _: f"{TOKEN}\r\nX: y").read("TOKEN")
    assert TOKEN not in str(caught.value)


ANSWERS: dict[str, Callable[[Asked], Reply]] = {
    "refused": lambda _: json_reply({"error": TOKEN}, 401),
    "forbidden": lambda _: json_reply({"error": TOKEN}, 403),
    "moved": lambda _: json_reply({}, 302, Location=f"http://penstock.invalid/?key={TOKEN}"),
    "no JSON": lambda _: spoil.whole(200, TOKEN.encode(), {}),
    "other JSON": lambda _: json_reply({"data": TOKEN}),
    "led away": lambda _: json_reply(rows(1), Link=f'<http://penstock.invalid/?key={TOKEN}>; rel="next"'),
}
AUTHS = [
    Bearer(secret="TOKEN"),
    ApiKey(secret="TOKEN", header="X-Key"),
    ApiKey(secret="TOKEN", param="key"),
    Basic(username="me", secret="TOKEN"),
]


@pytest.mark.parametrize("auth", AUTHS, ids=lambda auth: type(auth).__name__)
@pytest.mark.parametrize("kind", ANSWERS)
def test_no_error_and_no_log_shows_a_secret(kind: str, auth: Any, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        serving(ANSWERS[kind]) as url,
        pytest.raises(SourceError) as caught,
    ):
        Read(KEPT).pages(Source(url, "", auth=auth, paging=Link()))
    assert TOKEN not in repr(caught.value) + str(caught.value)
    assert TOKEN not in "".join(line for line in caplog.text.splitlines(True) if "simulator" not in line)


def test_no_message_has_a_secret_in_it() -> None:
    source = Source("URL", "", auth=ApiKey(secret="TOKEN", param="key"), params={"literal": "maybe-a-key"})
    with serving(lambda _: json_reply(rows(1))) as url:
        pages = Read(KEPT).pages(replace(source, url=url))
    sent: list[Any] = []

    class Shelf:
        def publish(self, messages: Any, on_progress: Any) -> Any:
            from penstock.kafka import Receipts

            sent.extend(messages)
            return Receipts(len(sent), len(sent), 0, {USERS.dead_letter_topic: len(sent)})

    ingest(Run(USERS, "r"), pages, Shelf())
    assert sent
    assert TOKEN not in repr(sent)
    assert "maybe-a-key" not in repr(sent)


@pytest.mark.parametrize("auth", AUTHS, ids=lambda auth: type(auth).__name__)
def test_neither_credentials_nor_headers_go_to_another_origin(auth: Any) -> None:
    other = Recorder()
    with serving(other) as elsewhere:
        leading = Recorder(lambda _: json_reply(rows(1), Link=f'<{elsewhere}?page=2>; rel="next"'))
        with serving(leading) as url:
            origin = elsewhere.removesuffix("/items")
            source = Source(url, "", auth=auth, headers={"X-Mine": "1"}, paging=Link(), origins=(origin,))
            Read(KEPT).pages(source)
    assert TOKEN in leading.asked[0].target + str(leading.asked[0].headers.get("X-Key")) or "Authorization" in str(
        leading.asked[0].headers
    )
    [asked] = other.asked
    assert TOKEN not in asked.target + str(asked.headers)
    assert (asked.headers["Authorization"], asked.headers["X-Mine"]) == (None, None)


def test_credentials_of_the_address_go_to_next_pages_of_the_same_origin() -> None:
    recorder = Recorder(lambda asked: json_reply({"data": rows(1, 9 + len(asked.target)), "next": _second(asked)}))
    with serving(recorder) as url:
        Read().pages(Source(url.replace("http://", f"http://me:{TOKEN}@"), "data", paging=NextUrl()))
    assert [asked.headers["Authorization"] for asked in recorder.asked] == [basic_header("me", TOKEN)] * 2


def _second(asked: Asked) -> str | None:
    return None if asked.query else f"http://{asked.headers['Host']}/items?page=2"


def test_key_in_the_query_is_on_every_page() -> None:
    recorder = Recorder(lambda asked: json_reply({"data": rows(1, len(asked.target)), "next": _second_of(asked)}))
    with serving(recorder) as url:
        Read(KEPT).pages(Source(url, "data", auth=ApiKey(secret="TOKEN", param="key"), paging=NextUrl()))
    assert [asked.query["key"] for asked in recorder.asked] == [TOKEN, TOKEN]


def _second_of(asked: Asked) -> str | None:
    return None if "page" in asked.query else "?page=2"


def test_no_redirect_takes_credentials_along() -> None:
    other = Recorder()
    with (
        serving(other) as elsewhere,
        serving(lambda _: json_reply({}, 307, Location=elsewhere)) as url,
        pytest.raises(SourceAnswerError, match="no redirect is followed"),
    ):
        Read(KEPT).pages(Source(url, "", auth=Bearer(secret="TOKEN")))
    assert other.asked == []


# --- OAuth 2 ---


class Provider:
    """Gives tokens that are numbered; the API takes the newest one, until it is told to take it no more."""

    def __init__(self, life_s: int | None = 3600) -> None:
        self.given = 0
        self.gone: set[int] = set()
        self.asked: list[Asked] = []
        self._life = {} if life_s is None else {"expires_in": life_s}

    def token(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        self.given += 1
        return json_reply({"access_token": f"token-{self.given}", "token_type": "bearer", **self._life})

    def api(self, asked: Asked) -> Reply:
        if asked.headers["Authorization"] != f"Bearer token-{self.given}" or self.given in self.gone:
            return json_reply({"error": "who?"}, 401)
        page = int(asked.query.get("page", 1))
        return json_reply(rows(10, page * 10) if page < 4 else [])


def oauth(url: str) -> OAuth2ClientCredentials:
    return OAuth2ClientCredentials(token_url=url, client_id="me", secret="TOKEN", scope="read")


def test_token_is_asked_for_once_with_the_clients_secret() -> None:
    provider = Provider()
    with serving(provider.token) as tokens, serving(provider.api) as url:
        assert len(Read(KEPT).pages(Source(url, "", auth=oauth(tokens), paging=Page()))) == 4
    [asked] = provider.asked
    assert (asked.method, asked.headers["Authorization"]) == ("POST", basic_header("me", TOKEN))
    assert asked.body == b"grant_type=client_credentials&scope=read"


def test_token_that_is_taken_no_more_is_asked_for_anew() -> None:
    provider = Provider()
    recorder = Recorder(provider.api)

    def forgetful(asked: Asked) -> Reply:
        if len(recorder.asked) == 2:
            provider.gone.add(1)
        return recorder(asked)

    with serving(provider.token) as tokens, serving(forgetful) as url:
        assert len(Read(KEPT).pages(Source(url, "", auth=oauth(tokens), paging=Page()))) == 4
    assert provider.given == 2


def test_token_that_is_never_taken_ends_the_run_at_once() -> None:
    provider = Provider()
    provider.gone.add(1)
    with (
        serving(provider.token) as tokens,
        serving(provider.api) as url,
        pytest.raises(SourceAnswerError, match=r"401 Unauthorized\. Is the source's auth declared"),
    ):
        Read(KEPT).pages(Source(url, "", auth=oauth(tokens), paging=Page()))
    assert provider.given == 1


def test_token_that_expires_at_once_is_asked_for_with_each_request() -> None:
    provider = Provider(life_s=5)
    with serving(provider.token) as tokens, serving(provider.api) as url:
        Read(KEPT).pages(Source(url, "", auth=oauth(tokens), paging=Page()))
    assert provider.given == 4


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (json_reply({"error": "no"}, 401), "401 Unauthorized"),
        (json_reply({"error": "no"}), "it holds no access_token"),
        (json_reply({"access_token": "x", "token_type": "mac"}), "not Bearer"),
        (json_reply({}, 503), "503 Service Unavailable"),
    ],
)
def test_provider_that_gives_no_token_is_named(answer: Reply, says: str) -> None:
    with serving(lambda _: answer) as tokens, serving(Recorder()) as url, pytest.raises(SourceError) as caught:
        Read(KEPT).pages(Source(url, "", auth=oauth(tokens)))
    assert tokens in str(caught.value)
    assert says in str(caught.value)


def test_provider_that_fails_for_a_while_delays_and_loses_nothing() -> None:
    provider = Provider()
    with serving(provider.token, faults=spoil.first(spoil.failing(503))) as tokens, serving(provider.api) as url:
        assert len(Read(KEPT).items(Source(url, "", auth=oauth(tokens), paging=Page()))) == 30


# --- the pace ---


def test_requests_are_as_far_apart_as_declared() -> None:
    read = Read()
    with serving(numbered(4)) as url:
        read.pages(Source(url, "", paging=Page(), rate=PerSecond(5)))
    assert read.waits == pytest.approx([0.2, 0.4, 0.6])  # its clock stands still


def numbered(count: int, **headers: str) -> Callable[[Asked], Reply]:
    def paged(asked: Asked) -> Reply:
        page = int(asked.query["page"])
        return json_reply(rows(1, page) if page < count else [], **headers)

    return paged


EPOCH = str(int(NOW.timestamp()) + 42)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "42"}, [42.0]),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": EPOCH}, [42.0]),
        ({"RateLimit_Remaining": "0", "RateLimit_Reset": "7"}, [7.0]),
        ({"X_RateLimit_Remaining": "1", "X_RateLimit_Reset": EPOCH}, []),
        ({"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "soon"}, []),
        ({"X_RateLimit_Remaining": "0"}, []),
    ],
)
def test_api_of_which_no_request_remains_is_left_alone_until_its_reset(
    headers: dict[str, str], waits: list[float]
) -> None:
    read = Read()
    with serving(numbered(2, **headers)) as url:
        read.pages(Source(url, "", paging=Page()))
    assert read.waits == waits


def test_reset_that_is_too_far_ends_the_run() -> None:
    spent = numbered(2, X_RateLimit_Remaining="0", X_RateLimit_Reset="3600")
    says = "no request remains, to be asked again in 3600 s"
    with serving(spent) as url, pytest.raises(SourceUnavailableError, match=says):
        Read().pages(Source(url, "", paging=Page()))


@pytest.mark.parametrize("status", [403, 429])
def test_refusal_that_names_its_reset_is_waited_for(status: int) -> None:
    read = Read()
    refusal = spoil.failing(status, X_RateLimit_Remaining="0", X_RateLimit_Reset=EPOCH)
    with serving(Recorder(), faults=spoil.first(refusal)) as url:
        read.pages(Source(url, ""))
    assert read.waits == [42.0]
