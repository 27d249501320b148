"""The pipelines of `examples/`: sound declarations, and simulators that answer as the real APIs do."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner, Result

from examples.earthquakes.earthquakes import EARTHQUAKES
from examples.earthquakes.simulator import PATH, Catalogue, RefusedError
from examples.issues.issues import ISSUES
from examples.issues.simulator import REPOSITORY, Repository
from penstock.cli import cli
from penstock.errors import SourceAnswerError
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Rejected, from_api
from penstock.simulator import Asked, Reply, Simulator
from penstock.source import Interval
from penstock.source.paging import Offset
from tests import examples
from tests.apis import Read
from tests.examples import LATER, MARCH, ROOT, TOKEN, of_days

DAY = of_days(MARCH, 1)
PATHS = {"earthquakes": PATH, "issues": f"/repos/{REPOSITORY}/issues"}
SOURCES = [path for name in PATHS for path in (ROOT / "examples" / name).glob(f"{name}.py")]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    examples.importable(monkeypatch)
    monkeypatch.setenv("ISSUES_TOKEN", TOKEN)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(as_of=LATER)


@pytest.fixture
def repository() -> Repository:
    return Repository(TOKEN, as_of=datetime(2026, 11, 20, tzinfo=UTC))


def read(api: Any, pipeline: Pipeline, interval: Interval, **source: Any) -> list[dict[str, Any]]:
    """What the pipeline's source reads of the simulator."""
    with Simulator(api=api) as simulator:
        url = f"http://127.0.0.1:{simulator.port}{PATHS[pipeline.name]}"
        return Read({"ISSUES_TOKEN": TOKEN}).items(replace(pipeline.source, url=url, **source), interval)


def invoked(api: Any, reference: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """What a command did with the pipeline of an example while its simulator ran."""
    name = reference.partition(":")[0]
    monkeypatch.setenv("PENSTOCK_PIPELINES", reference)
    with Simulator(api=api) as simulator:
        monkeypatch.setenv(f"PENSTOCK_SOURCE_URL_{name.upper()}", f"http://127.0.0.1:{simulator.port}{PATHS[name]}")
        return CliRunner().invoke(cli, arguments)


# --- declarations ---


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_declarations_import_what_is_public_only(source: Any) -> None:
    text = source.read_text("utf-8")
    assert len(SOURCES) == 2
    assert re.findall(r"^(?:from|import) (penstock\S*)", text, re.MULTILINE) == ["penstock"]


@pytest.mark.parametrize(("reference", "fields"), [(examples.EARTHQUAKES, 18), (examples.ISSUES, 17)])
def test_declarations_are_sound(reference: str, fields: int, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoked(lambda _: None, reference, monkeypatch, "check")
    assert done.output.startswith(f"pipeline {reference.partition(':')[0]} is sound: {fields} fields from http://127")


def test_token_that_is_not_there_is_found_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISSUES_TOKEN")
    done = invoked(lambda _: None, examples.ISSUES, monkeypatch, "check")
    assert "the source's secret ISSUES_TOKEN is empty or not there" in str(done.exception)


# --- previews ---


def test_earthquakes_are_previewed(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    window = ("--from", "2025-03-01", "--to", "2025-03-02")
    done = invoked(catalogue, examples.EARTHQUAKES, monkeypatch, "preview", *window, "--json", "--limit", "1000")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(read(catalogue, EARTHQUAKES, DAY)) > 10
    assert {one["row"]["day"] for one in rows if "row" in one} == {"2025-03-01"}


def test_issues_are_previewed_with_what_they_remove(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("preview", "--from", "2026-10-01", "--to", "2026-11-20", "--limit", "1000")
    shown = invoked(repository, examples.ISSUES, monkeypatch, *arguments)
    told = invoked(repository, examples.ISSUES, monkeypatch, *arguments, "--json")
    gone = [json.loads(line)["removes"] for line in told.stdout.splitlines() if '"removes"' in line]
    assert len(gone) > 3
    assert [key for key in gone if f"removes the row {key}, as it is deleted" not in shown.stdout] == []
    assert "dead letter" not in shown.stdout


# --- the catalogue of earthquakes ---

# Of a real answer: starttime=2024-03-29T07:02:19, api 1.14.0.
EVENT = "mag place time updated tz url detail felt cdi mmi alert status tsunami sig net code ids sources types nst dmin"
PROPERTIES = [*EVENT.split(), "rms", "gap", "magType", "type", "title"]


def question(**changes: str) -> dict[str, str]:
    return {"format": "geojson", "starttime": "2025-03-01", "endtime": "2025-03-02", **changes}


def test_answer_of_the_catalogue_has_the_shape_of_the_real_one(catalogue: Catalogue) -> None:
    found = catalogue.answer(question(limit="3"))
    assert list(found) == ["type", "metadata", "features", "bbox"]
    assert list(found["metadata"]) == ["generated", "url", "title", "status", "api", "limit", "offset", "count"]
    assert (found["metadata"]["offset"], found["metadata"]["count"]) == (1, 3)
    assert "limit" not in catalogue.answer(question())["metadata"]
    for feature in found["features"]:
        assert list(feature) == ["type", "properties", "geometry", "id"]
        assert list(feature["properties"]) == PROPERTIES
        assert len(feature["geometry"]["coordinates"]) == 3


def test_every_event_of_a_month_is_a_record(catalogue: Catalogue) -> None:
    items = read(catalogue, EARTHQUAKES, of_days(MARCH, 30))
    records = [from_api(EARTHQUAKES, item) for item in items]
    assert [record for record in records if isinstance(record, Rejected)] == []
    assert len({item["id"] for item in items}) == len(items) > 500
    assert {item["properties"]["type"] for item in items} == {"earthquake"}
    assert any(item["properties"]["mag"] is None for item in items)


def test_values_of_an_event_become_those_of_its_record(catalogue: Catalogue) -> None:
    [item] = [one for one in read(catalogue, EARTHQUAKES, DAY) if one["id"] == "us20250301013"]
    record = from_api(EARTHQUAKES, item)
    assert not isinstance(record, Rejected)
    assert record.model_dump() == {
        "net": "us",
        "day": date(2025, 3, 1),
        "time": datetime(2025, 3, 1, 1, 15, 25, 665_000, tzinfo=UTC),
        "id": "us20250301013",
        "updated": datetime(2025, 3, 3, 6, 59, 55, 25_000, tzinfo=UTC),
        "magnitude": Decimal("-0.05"),
        "magnitude_type": "mb",
        "place": "34 km E of Ōfunato, Japan",
        "longitude": 142.9031,
        "latitude": 38.9341,
        "depth_km": 10.0,
        "status": "reviewed",
        "gone": False,
        "felt": None,
        "alert": None,
        "tsunami": 0,
        "significance": 0,
        "url": "https://earthquake.usgs.gov/earthquakes/eventpage/us20250301013",
    }


@pytest.mark.parametrize("limit", [1, 7, 20_000])
def test_pages_that_are_counted_from_1_are_read_to_their_end(catalogue: Catalogue, limit: int) -> None:
    whole = catalogue.answer({**question(eventtype="earthquake", includedeleted="true"), "orderby": "time-asc"})
    assert read(catalogue, EARTHQUAKES, DAY, paging=Offset(offset=1, limit=limit)) == whole["features"]


def test_offset_that_begins_with_0_is_refused_as_the_catalogue_does(catalogue: Catalogue) -> None:
    with pytest.raises(SourceAnswerError, match="400 Bad Request"):
        read(catalogue, EARTHQUAKES, DAY, paging=Offset(limit=10))


def test_days_of_a_month_have_what_the_month_has(catalogue: Catalogue) -> None:
    days = [read(catalogue, EARTHQUAKES, of_days(MARCH + timedelta(days=day), 1)) for day in range(5)]
    assert [item for day in days for item in day] == read(catalogue, EARTHQUAKES, of_days(MARCH, 5))


def test_same_question_gets_the_same_answer_and_a_later_one_the_revisions(catalogue: Catalogue) -> None:
    catalogue.as_of = MARCH + timedelta(days=1)
    early, again = (read(catalogue, EARTHQUAKES, DAY) for _ in range(2))
    catalogue.as_of = LATER
    late = {item["id"]: item["properties"] for item in read(catalogue, EARTHQUAKES, DAY)}
    assert early == again
    assert late.keys() >= {item["id"] for item in early}
    revised = [item for item in early if late[item["id"]]["updated"] > item["properties"]["updated"]]
    assert 0 < len(revised) < len(early)
    assert {late[item["id"]]["time"] == item["properties"]["time"] for item in early} == {True}


def test_event_that_was_none_is_left_out_unless_it_is_asked_for(catalogue: Catalogue) -> None:
    month = question(endtime="2025-04-01")
    left, all_of_them = (
        {item["id"]: item["properties"]["status"] for item in catalogue.answer(asked)["features"]}
        for asked in (month, {**month, "includedeleted": "true"})
    )
    gone = all_of_them.keys() - left.keys()
    assert {all_of_them[one] for one in gone} == {"deleted"}
    assert "deleted" not in left.values()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"offset": "0"}, "bad offset value"),
        ({"limit": "20001"}, "bad limit value"),
        ({"starttime": "yesterday"}, "bad starttime value"),
        ({"minmagnitude": "large"}, "bad minmagnitude value"),
        ({"orderby": "depth"}, "bad orderby value"),
        ({"format": "csv"}, "format=geojson only"),
        ({"from": "2025-03-01"}, 'Unknown parameter "from"'),
    ],
)
def test_catalogue_refuses_what_the_real_one_refuses(catalogue: Catalogue, changes: dict[str, str], says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        catalogue.answer(question(**changes))


def test_more_events_than_an_answer_holds_are_refused() -> None:
    with pytest.raises(RefusedError, match="exceeds search limit of 10"):
        Catalogue(as_of=LATER, most=10).answer(question())


# --- the issues of a repository ---

SINCE = Interval(*(datetime(2026, 11, day, tzinfo=UTC) for day in (1, 1, 2)))


def test_every_issue_is_a_record(repository: Repository) -> None:
    items = read(repository, ISSUES, of_days(datetime(2026, 10, 1, tzinfo=UTC), 1))
    records = [from_api(ISSUES, item) for item in items]
    assert [record for record in records if isinstance(record, Rejected)] == []
    assert [item["number"] for item in items] == list(range(1, len(items) + 1))
    assert len(items) > 190  # two pages
    assert {"pull_request" in item for item in items} == {True, False}
    for nullable in ("body", "milestone", "user", "closed_at", "state_reason"):
        assert 0 < sum(item[nullable] is None for item in items) < len(items)


def test_issues_that_changed_since_then_come_and_no_others(repository: Repository) -> None:
    items = read(repository, ISSUES, SINCE)
    everything = repository.issues(repository.as_of or LATER)
    assert [item["number"] for item in items] == [
        item["number"] for item in everything if item["updated_at"] >= "2026-11-01T00:00:00Z"
    ]
    assert any(item["created_at"] < "2026-11-01" for item in items)


@pytest.mark.parametrize("size", [1, 100, 250])
def test_pages_of_issues_are_followed_by_their_links(repository: Repository, size: int) -> None:
    paging = replace(ISSUES.source.pages, size=size)  # type: ignore[type-var]  # it is a Link
    repository.as_of = datetime(2026, 10, 20, tzinfo=UTC) if size == 1 else repository.as_of
    items = read(repository, ISSUES, of_days(datetime(2026, 10, 1, tzinfo=UTC), 1), paging=paging)
    assert items == repository.issues(repository.as_of or LATER)


def test_issue_that_is_reopened_and_one_that_is_deleted_lose_values(repository: Repository) -> None:
    items = read(repository, ISSUES, of_days(datetime(2026, 10, 1, tzinfo=UTC), 1))
    deleted = [item for item in items if "deleted_at" in item]
    reopened = [item for item in items if item["state_reason"] == "reopened"]
    assert deleted
    assert {(item["title"], item["body"], item["user"]) for item in deleted} == {("", None, None)}
    assert reopened
    assert {(item["closed_at"], item["milestone"]) for item in reopened} == {(None, None)}


def asked(repository: Repository, query: str, token: str = TOKEN, path: str = PATHS["issues"]) -> tuple[Reply, Any]:
    headers: Any = {"Authorization": f"Bearer {token}", "Host": "127.0.0.1"}
    reply = repository(Asked("GET", f"{path}?{query}", headers, b""))
    return reply, json.loads(b"".join(reply.body))


@pytest.mark.parametrize(
    ("query", "more", "status"),
    [
        ("", {"token": "wrong"}, 401),
        ("", {"path": "/repos/someone/else/issues"}, 404),
        ("state=merged", {}, 422),
        ("since=yesterday", {}, 422),
    ],
)
def test_repository_refuses_what_github_refuses(
    repository: Repository, query: str, more: Mapping[str, str], status: int
) -> None:
    reply, said = asked(repository, query, **more)
    assert (reply.status, "message" in said) == (status, True)


def test_list_is_of_open_issues_and_thirty_of_them_unless_something_else_is_asked_for(repository: Repository) -> None:
    reply, items = asked(repository, "")
    assert (len(items), {item["state"] for item in items}) == (30, {"open"})
    assert items[0]["number"] > items[1]["number"]
    assert re.fullmatch(r'<http://127\.0\.0\.1/\S+page=2>; rel="next", <\S+>; rel="last"', reply.headers["Link"])
    assert len(asked(repository, "per_page=500&state=all")[1]) == 100


# --- programs ---


@pytest.mark.parametrize(("name", "more"), [("earthquakes", []), ("issues", ["--token", TOKEN])])
def test_simulators_are_programs(name: str, more: list[str], free_port: int) -> None:
    command = [sys.executable, f"examples/{name}/simulator.py", "--port", str(free_port), "--as-of", "2026-11-20"]
    with subprocess.Popen([*command, *more], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            assert f"is simulated at http://127.0.0.1:{free_port}/" in process.stderr.readline()
        finally:
            process.terminate()
        assert process.wait(30) == 0
