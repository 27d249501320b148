"""`penstock new`: what it writes is read by the other commands at once, and a run of it misses no row."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.pipelines.keys import Key
from penstock.simulator import Asked, Reply
from penstock.simulator.faults import whole
from penstock.source import Bearer, Cursor, Header, Link, NextUrl, Offset, One, Page
from tests.apis import KINDS, Listing, Read, json_reply, rows, serving
from tests.proposals import NAME, Folder, always

ROWS = rows(235)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Folder(tmp_path, monkeypatch)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_paging_is_found_and_misses_no_row(folder: Folder, kind: str) -> None:
    answer, declared = KINDS[kind]
    listing = Listing(ROWS, answer)
    with serving(listing) as url:
        done = folder.new(url)
        assert done.exit_code == 0, done.exception
        assert len(listing.asked) <= 6
        assert done.stderr.count("question ") == len(listing.asked)
        folder.is_proved(rows=5)
        pipeline = folder.pipeline()
        assert type(pipeline.source.paging) is type(declared)
        assert (pipeline.key, pipeline.source.total) == ("id", "total")
        assert Read().items(pipeline.source) == ROWS


@pytest.mark.parametrize(
    ("query", "answer", "paging", "params"),
    [
        ("page=1&per_page=50", "page", Page(), {"per_page": "50"}),
        ("offset=0&limit=40", "offset", Offset(limit=40), {}),
        ("per_page=50&page=1", "link", Link(), {"per_page": "50", "page": "1"}),
    ],
)
def test_parameters_of_the_address_say_how_it_pages(
    folder: Folder, query: str, answer: str, paging: Any, params: dict[str, str]
) -> None:
    with serving(Listing(ROWS, KINDS[answer][0])) as url:
        assert folder.new(f"{url}?{query}").exit_code == 0
        source = folder.pipeline().source
        assert (source.paging, source.params) == (paging, params)
        assert Read().items(source) == ROWS


def test_pages_that_count_from_0_are_known(folder: Folder) -> None:
    def api(asked: Asked) -> Reply:
        start = int(asked.query.get("page", 0)) * 50
        return json_reply({"results": ROWS[start : start + 50], "total_pages": 5})

    with serving(api) as url:
        assert folder.new(url).exit_code == 0
        source = folder.pipeline().source
        assert source.paging == Page(base_page=0, pages_path="total_pages")
        assert Read().items(source) == ROWS


def test_a_cursor_that_another_parameter_takes_is_found(folder: Folder) -> None:
    def api(asked: Asked) -> Reply:
        start = int(asked.query.get("page_token", "0"))
        more = start + 50 < len(ROWS)
        return json_reply(
            {"items": ROWS[start : start + 50], "meta": {"next_page_token": str(start + 50), "has_more": more}}
        )

    with serving(api) as url:
        assert folder.new(url).exit_code == 0
        source = folder.pipeline().source
        assert source.paging == Cursor(
            cursor_path="meta.next_page_token", cursor_param="page_token", has_more_path="meta.has_more"
        )
        assert Read().items(source) == ROWS


def test_the_total_of_a_header_is_declared(folder: Folder) -> None:
    def api(asked: Asked) -> Reply:
        start = int(asked.query.get("_start", 0))
        return json_reply(ROWS[start : start + 20], X_Total_Count=str(len(ROWS)))

    with serving(api) as url:
        assert folder.new(f"{url}?_start=0&_limit=20").exit_code == 0
        source = folder.pipeline().source
        assert source.paging == Offset(offset_param="_start", limit_param="_limit", limit=20)
        assert source.total == Header("X-Total-Count")
        assert Read().items(source) == ROWS


def test_a_next_page_of_another_host_is_named_and_not_asked(folder: Folder) -> None:
    asked: list[Asked] = []
    with serving(lambda one: (asked.append(one), json_reply([]))[1]) as elsewhere:
        folder.proposed({"data": rows(7), "next": f"{elsewhere}?secret=1"}, rows=5)
    assert asked == []
    assert isinstance(folder.pipeline().source.paging, NextUrl)
    assert re.search(
        r"unsure: next leads to http://127.0.0.1:\d+, which is not asked unless you\n? *#? *allow", folder.text()
    )
    assert "secret" not in folder.text()


def test_an_api_whose_stated_total_was_not_reached_fails_rather_than_misses_rows(folder: Folder) -> None:
    pipeline = folder.proposed({"data": rows(30), "total": 100}, rows=5)
    assert (pipeline.source.paging, pipeline.source.total) == (None, "total")
    assert "the answer states 100 items and holds 30" in " ".join(folder.text().replace("#", "").split())


@pytest.mark.parametrize(
    "around",
    [
        lambda items: {"object": "list", "data": items, "has_more": True},
        lambda items: {"hits": {"total": {"value": 100, "relation": "gte"}, "data": items}},
    ],
)
def test_an_api_that_says_that_there_is_more_fails_where_nothing_led_to_it(folder: Folder, around: Any) -> None:
    with serving(lambda _: json_reply(around(rows(3)))) as url:
        assert folder.new(url).exit_code == 0
        assert "until then a run fails rather than miss them" in " ".join(folder.text().replace("#", "").split())
        assert folder.run("preview").exit_code != 0


def test_a_number_up_to_which_an_api_counts_is_no_end_of_its_pages(folder: Folder) -> None:
    def api(asked: Asked) -> Reply:
        start = int(asked.query.get("from", 0))
        return json_reply({"hits": {"total": {"value": 4, "relation": "gte"}, "hits": rows(7)[start : start + 2]}})

    with serving(api) as url:
        assert folder.new(f"{url}?from=0&size=2").exit_code == 0
        folder.is_proved(NAME, "--limit", "100", rows=7)


def test_a_next_address_whose_name_has_a_dot_is_followed(folder: Folder) -> None:
    def api(asked: Asked) -> Reply:
        start = int(asked.query.get("$skip", 0))
        more = {"@odata.nextLink": f"/items?$skip={start + 2}"} if start < 4 else {}
        return json_reply({"@odata.count": 5, "value": rows(5)[start : start + 2], **more})

    with serving(api) as url:
        assert folder.new(url).exit_code == 0
        folder.is_proved(NAME, "--limit", "100", rows=5)
    assert folder.pipeline().source.paging == NextUrl(next_url_path=r"@odata\.nextLink")


def test_a_time_window_of_the_address_becomes_that_of_a_run(folder: Folder) -> None:
    listing = Listing(rows(7), KINDS["none"][0])
    with serving(listing) as url:
        done = folder.new(f"{url}?starttime=2026-11-01&endtime=2026-11-02&limit=50")
        assert "penstock preview --pipeline things --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z" in done.stdout
        interval = ("--from", "2026-11-05", "--to", "2026-11-06")
        folder.is_proved("things", *interval, rows=5)
    assert listing.asked[-1].query == {"starttime": "2026-11-05", "endtime": "2026-11-06", "limit": "50"}


@pytest.mark.parametrize(
    ("given", "marks"),
    [
        ({"since": "2026-11-01T00:00:00Z"}, {"since": "{start}"}),
        ({"from": "1793491200", "to": "1793577600"}, {"from": "{start:epoch}", "to": "{end:epoch}"}),
        ({"updated_after": "1793491200000"}, {"updated_after": "{start:epoch_ms}"}),
        (
            {"min_date": "2026-11-01", "max_date": "2026-11-02"},
            {"min_date": "{start:%Y-%m-%d}", "max_date": "{end:%Y-%m-%d}"},
        ),
        ({"from": "berlin", "to": "ulm", "after": "7"}, {"from": "berlin", "to": "ulm", "after": "7"}),
    ],
)
def test_only_moments_of_the_address_are_an_interval(
    folder: Folder, given: dict[str, str], marks: dict[str, str]
) -> None:
    with serving(lambda _asked: json_reply(rows(3))) as url:
        assert folder.new(f"{url}?{'&'.join(f'{name}={value}' for name, value in given.items())}").exit_code == 0
    assert folder.pipeline().source.params == marks


@pytest.mark.parametrize(
    ("items", "key"),
    [
        ([{"name": "a", "id": 1}, {"name": "a", "id": 2}], "id"),
        ([{"x": {"id": 7}, "user_id": 1}, {"x": {"id": 7}, "user_id": 2}], "user_id"),
        (
            [{"station": s, "at": f"2026-11-0{d}T00:00:00Z", "v": 0.5} for s in "ab" for d in (1, 2)],
            "PRIMARY KEY (station, at) CLUSTERING ORDER BY (at DESC)",
        ),
        ([{"row": r, "cell": c} for r in (1, 2) for c in (1, 2)], "PRIMARY KEY ((row, cell))"),
        ([{"id": 1, "v": 0.5}, {"id": 1, "v": 0.75}], "id"),
    ],
)
def test_key_tells_the_items_of_the_sample_apart(folder: Folder, items: list[Any], key: str) -> None:
    found = folder.proposed(items).key
    assert str(found) == key
    assert isinstance(found, (str, Key))


def test_a_sample_without_a_key_says_how_many_rows_it_makes(folder: Folder) -> None:
    folder.proposed([{"id": 1, "v": 0.5}, {"id": 1, "v": 0.75}])
    assert "2 different items are 1 rows" in folder.text()


def test_a_field_of_deletion_is_declared(folder: Folder) -> None:
    pipeline = folder.proposed([{"id": 1, "deletedAt": None}, {"id": 2, "deletedAt": "2026-11-01T00:00:00Z"}])
    assert pipeline.deleted == "deleted_at"


@pytest.mark.parametrize(
    ("beside", "paging"),
    [
        ({"next": None}, NextUrl()),
        ({"links": {"next": None}}, NextUrl(next_url_path="links.next")),
        ({"_links": {"next": {"href": "/things?page=2"}}}, NextUrl(next_url_path="_links.next.href")),
        ({"meta": {"next_cursor": None}}, Cursor(cursor_path="meta.next_cursor")),
        ({"nextPageToken": "x"}, Cursor(cursor_path="nextPageToken", cursor_param="pageToken")),
    ],
)
def test_a_file_that_names_a_next_page_or_has_room_for_one_says_how_it_pages(
    folder: Folder, beside: dict[str, Any], paging: Any
) -> None:
    assert folder.new(folder.answer({"data": rows(3), **beside})).exit_code == 0
    assert folder.pipeline().source.paging == paging
    assert folder.text().count("# unsure:") >= 2


def test_features_of_geojson_are_items_and_their_points_are_columns(folder: Folder) -> None:
    features = [
        {
            "type": "Feature",
            "id": f"us{number}",
            "properties": {"mag": 4.5, "time": 1_764_000_000_000 + number},
            "geometry": {"type": "Point", "coordinates": [1.5, 2.5, 10][: 2 + number]},
        }
        for number in range(2)
    ]
    done = folder.new(folder.answer({"type": "FeatureCollection", "features": features}))
    assert "2 of 2 items" in done.stdout
    pipeline = folder.pipeline()
    assert (pipeline.source.items, pipeline.key) == ("features", "id")
    assert {column.name: column.origin.path for column in pipeline.columns} == {
        "type": "type",
        "id": "id",
        "mag": "properties.mag",
        "time": "properties.time",
        "longitude": "geometry.coordinates.0",
        "latitude": "geometry.coordinates.1",
        "altitude": "geometry.coordinates.2",
    }


COLUMNS = {"hourly": {"time": ["2026-11-01T00:00", "2026-11-01T01:00"], "wind": [1.5, 2]}, "units": {"wind": "m/s"}}


def test_columns_beside_each_other_are_items(folder: Folder) -> None:
    pipeline = folder.proposed(COLUMNS, rows=2)
    assert (str(pipeline.source.items), pipeline.key) == ("Columns(path='hourly')", "time")


def test_lines_of_json_are_items_whatever_the_answer_calls_them(folder: Folder) -> None:
    lines = b'{"id": 1, "t": "a"}\n{"id": 2, "t": "b"}\n'
    with serving(always(whole(200, lines, {"Content-Type": "text/plain"}))) as url:
        assert folder.new(url).exit_code == 0
        folder.is_proved(rows=2)
    assert folder.pipeline().source.ndjson


def test_one_object_is_the_only_item(folder: Folder) -> None:
    pipeline = folder.proposed({"id": "now", "wind": {"speed": 1.5}, "tags": ["a"]}, rows=1)
    assert pipeline.source.items == One("")


def test_a_list_within_an_object_that_may_be_the_item_is_doubted(folder: Folder) -> None:
    assert folder.proposed({"id": "now", "lines": rows(2)}, rows=2).source.items == "lines"
    assert "unsure: the answer has an id: is it the item, and 'lines' a part of it?" in folder.text()


def test_a_file_is_taken_in_place_of_an_answer(folder: Folder) -> None:
    done = folder.new(folder.answer({"data": rows(7)}))
    assert done.exit_code == 0
    assert done.stderr == ""
    assert folder.run("check").exit_code == 0
    with serving(lambda _asked: json_reply({"data": rows(7)})) as url:
        folder.patch.setenv("PENSTOCK_SOURCE_URL_THINGS", url)
        folder.is_proved(rows=5)


def test_a_file_that_is_there_is_not_replaced(folder: Folder) -> None:
    folder.answer([{"id": 1}])
    assert folder.new("answer.json").exit_code == 0
    (folder.path / "pipelines" / "things.py").write_text("mine")
    assert "is not replaced without --force" in str(folder.new("answer.json").exception)
    assert folder.text() == "mine"
    assert folder.new("answer.json", "--force").exit_code == 0
    assert folder.text() != "mine"


SECRET = "hush4711"


def guarded(api: Callable[[Asked], Reply]) -> Callable[[Asked], Reply]:
    return lambda asked: api(asked) if asked.headers["Authorization"] == f"Bearer {SECRET}" else json_reply({}, 401)


def test_a_secret_is_named_and_never_written(folder: Folder) -> None:
    folder.patch.setenv("THINGS_TOKEN", SECRET)
    with serving(guarded(Listing(ROWS, KINDS["link"][0]))) as url:
        done = folder.new(url, "--auth", "bearer:THINGS_TOKEN")
        assert done.exit_code == 0, done.exception
        folder.is_proved(rows=5)
    assert folder.pipeline().source.auth == Bearer(secret="THINGS_TOKEN")
    assert SECRET not in folder.text() + done.output


@pytest.mark.parametrize(
    ("auth", "written"),
    [
        ("api-key:KEY,header=X-API-Key", 'ApiKey(secret="KEY", header="X-API-Key")'),
        ("api-key:file:/run/key,param=key", 'ApiKey(secret="file:/run/key", param="key")'),
        ("basic:airflow:things,username=me", 'Basic(username="me", secret="airflow:things")'),
        (
            "oauth2:KEY,client_id=app,token_url=https://login.example.com/token,scope=read write",
            'OAuth2ClientCredentials(token_url="https://login.example.com/token", client_id="app", secret="KEY", '
            'scope="read write")',
        ),
    ],
)
def test_every_kind_of_credentials_can_be_said(folder: Folder, auth: str, written: str) -> None:
    assert folder.new(folder.answer([{"id": 1}]), "--auth", auth).exit_code == 0
    assert f"        auth={written},\n" in folder.text()
    assert folder.pipeline().source.auth is not None


@pytest.mark.parametrize("auth", [f"token:{SECRET}", f"bearer:{SECRET}.x", f"api-key:{SECRET}", "bearer:", f"{SECRET}"])
def test_credentials_of_no_kind_are_refused_and_not_repeated(folder: Folder, auth: str) -> None:
    done = folder.new(folder.answer([{"id": 1}]), "--auth", auth)
    assert "There are: bearer:NAME" in str(done.exception)
    assert SECRET not in str(done.exception)


@pytest.mark.parametrize(
    "place",
    [
        f"https://me:{SECRET}@api.example.com/",
        *(
            f"https://api.example.com/?{name}={SECRET}"
            for name in ("api_key", "access_token", "key", "X-Api-Key", "appid", "sig")
        ),
    ],
)
def test_a_secret_in_the_address_is_refused_and_not_repeated(folder: Folder, place: str) -> None:
    done = folder.new(place)
    assert "name the secret: --auth" in str(done.exception)
    assert SECRET not in str(done.exception)
    assert not (folder.path / "pipelines").exists()


@pytest.mark.parametrize("name", ["Things", "1st", "a-b", "", "a" * 41, "../x"])
def test_a_name_that_no_pipeline_may_have_is_refused(folder: Folder, name: str) -> None:
    done = folder.new(folder.answer([{"id": 1}]), name=name)
    assert done.exit_code == 2
    assert "no name of a pipeline" in done.output


@pytest.mark.parametrize("name", ["class", "table", "uuid", "utc", "record", "page", "json", "datetime", "order"])
def test_a_name_that_python_or_cql_has_a_use_for_is_a_pipeline_all_the_same(folder: Folder, name: str) -> None:
    document = [{"id": "5f0c2b1e-8a9d-4e0f-9a3b-0123456789ab", "at": "2026-11-01T00:00:00Z"}]
    with serving(lambda _asked: json_reply(document)) as url:
        assert folder.new(url, name=name).exit_code == 0
        folder.is_proved(name, rows=1)
