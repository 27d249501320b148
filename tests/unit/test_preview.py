"""What a run would bring is seen before anything runs, and a declaration is checked without an API."""

import json

import pytest
from click.testing import CliRunner, Result

from penstock.cli import cli
from penstock.errors import ConfigError, SourceUnavailableError
from penstock.simulator import Simulator
from penstock.simulator.people import Question, answer
from penstock.source import Page, Source
from tests.apis import json_reply
from tests.windowed import QUAKES

PEOPLE = answer(Question("seed", 1, 3))["results"]
"""The record of `tests.windowed:QUAKES` is a person."""
NUMBERED = QUAKES.model_copy(update={"source": Source("https://api.example.com/", "features", paging=Page())})
TOTALLED = QUAKES.model_copy(
    update={"source": Source("https://api.example.com/", "features", paging=Page(), total="count")}
)


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_PIPELINES", "tests.windowed:QUAKES")
    for server in ("KAFKA_BOOTSTRAP_SERVERS", "CASSANDRA_CONTACT_POINTS"):
        monkeypatch.setenv(f"PENSTOCK_{server}", "127.0.0.1:1" if server.startswith("KAFKA") else "127.0.0.1")


def previewed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[Result, list[str]]:
    """What the command did with two good items and a bad one, and the questions that the API was asked."""
    asked: list[str] = []
    items = [PEOPLE[0], {**PEOPLE[1], "email": 5}, PEOPLE[2]]
    with Simulator(api=lambda one: (asked.append(one.query["since"]), json_reply({"features": items}))[1]) as api:
        monkeypatch.setenv("PENSTOCK_SOURCE_URL_QUAKES", api.url)
        return CliRunner().invoke(cli, ["preview", *arguments]), asked


def test_first_items_are_shown_as_rows_and_the_rejected_with_their_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    done, asked = previewed(monkeypatch, "--from", "2026-11-01", "--to", "2026-11-02")
    assert (done.exit_code, asked) == (0, ["2026-11-01T00:00:00Z"])
    assert "since=2026-11-01T00:00:00Z" in done.stderr.replace("%3A", ":")
    assert "3 of 3 items looked at" in done.stderr
    assert PEOPLE[0]["login"]["uuid"] in done.stdout
    assert "item 1 would be a dead letter, wrong_type: email:" in done.stdout


def test_no_more_items_than_asked_for_are_shown_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    done, asked = previewed(monkeypatch, "--limit", "2", "--json")
    good, bad = map(json.loads, done.stdout.splitlines())
    assert (good["row"]["email"], bad["rejected"], bad["item"]["email"]) == (PEOPLE[0]["email"], "wrong_type", 5)
    assert len(asked) == 1


def test_the_questions_are_shown_also_where_there_are_no_items_and_with_the_one_that_would_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([json_reply({"features": PEOPLE}, Link='<?page=2>; rel="next"'), json_reply({"features": []})])
    with Simulator(api=lambda _asked: next(answers)) as api:
        monkeypatch.setenv("PENSTOCK_SOURCE_URL_QUAKES", api.url)
        some = CliRunner().invoke(cli, ["preview", "--limit", "2"])
        none = CliRunner().invoke(cli, ["preview"])
    assert "2 of 3 items looked at\nGET ?page=***: would be the next question" in some.stderr
    assert "0 of 0 items looked at\nthe API has no items" in none.stderr


@pytest.mark.parametrize(("first", "doubt"), [(0, "doubtful: page 0 holds other items than page 1"), (1, "")])
def test_page_before_the_first_one_is_told(monkeypatch: pytest.MonkeyPatch, first: int, doubt: str) -> None:
    monkeypatch.setenv("PENSTOCK_PIPELINES", f"{__name__}:NUMBERED")
    answers = {str(first + at): json_reply({"features": [person]}) for at, person in enumerate(PEOPLE)}
    with Simulator(api=lambda one: answers.get(one.query["page"], json_reply({}, 404))) as api:
        monkeypatch.setenv("PENSTOCK_SOURCE_URL_QUAKES", api.url)
        done = CliRunner().invoke(cli, ["preview", "--limit", "1"])
    assert done.exit_code == 0
    assert doubt in done.stderr
    assert bool(doubt) == ("doubtful" in done.stderr)


@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_total_that_counts_a_page_or_a_part_is_told(monkeypatch: pytest.MonkeyPatch, total: int) -> None:
    monkeypatch.setenv("PENSTOCK_PIPELINES", f"{__name__}:TOTALLED")
    answers = {str(at + 1): json_reply({"features": [person], "count": total}) for at, person in enumerate(PEOPLE)}
    with Simulator(api=lambda one: answers.get(one.query["page"], json_reply({"features": [], "count": 0}))) as api:
        monkeypatch.setenv("PENSTOCK_SOURCE_URL_QUAKES", api.url)
        done = CliRunner().invoke(cli, ["preview", "--limit", "1"])
    assert ("behind so many the API has more items" in done.stderr) == (total < 3)


def test_users_are_shown_though_no_simulator_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_PIPELINES", "penstock.users:USERS")
    done = CliRunner().invoke(cli, ["preview", "--json"])
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 5)


def test_an_api_that_is_not_there_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_SOURCE_URL_QUAKES", "http://127.0.0.1:9/")
    assert isinstance(CliRunner().invoke(cli, ["preview"]).exception, SourceUnavailableError)


def test_a_sound_declaration_is_called_so_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(cli, ["check"])
    assert done.output.startswith("pipeline quakes is sound: 11 fields from https://api.example.com/quakes to topic")


def test_an_address_that_is_none_is_found_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_SOURCE_URL_QUAKES", "not an address")
    assert isinstance(CliRunner().invoke(cli, ["check"]).exception, ConfigError)
