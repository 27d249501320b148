"""`penstock new` and answers that no one would wish for: what is written stands, or it is said why nothing is."""

from pathlib import Path
from typing import Any

import pytest

from penstock.proposal.names import column_name
from penstock.simulator import Asked, Reply, Simulator
from penstock.simulator.faults import whole
from penstock.source import Page
from tests.apis import KINDS, Listing, json_reply, rows, serving
from tests.proposals import Folder, always


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Folder(tmp_path, monkeypatch)


NAMES = [
    *(
        "class",
        "select",
        "from",
        "json",
        "copy",
        "model_dump",
        "date",
        "int",
        "str",
        "list",
        "datetime",
        "schema",
        "Record",
    ),
    *(
        "1st",
        "_id",
        "__init__",
        "a b",
        "a-b",
        "a_b",
        "aB",
        "naïve",
        "名前",
        "🙂",
        "名",
        "ключ",
        "x" * 300,
        "From",
        "UUID",
    ),
    *(
        '"""',
        "a'b\"c",
        "end\nimport os  # ",
        "\u202eabc",
        "\x00",
        "\\",
        "tab\t",
        "\u2028",
        "a:b",
        "a!r",
        "a[0]",
        "0",
        "None",
    ),
]


def test_names_of_any_kind_become_columns(folder: Folder) -> None:
    item = {"id": 1, **{name: f"text of {name!a}" for name in NAMES}}
    pipeline = folder.proposed({"data": [item, {**item, "id": 2}]}, rows=2)
    assert {column.origin.path for column in pipeline.columns} == {"id", *NAMES}
    assert all(column.name.isidentifier() and len(column.name) < 60 for column in pipeline.columns)


@pytest.mark.parametrize("name", ["a.b", "a{b", "a}b", "{id}", "", "."])
def test_a_name_that_no_path_leads_to_is_told(folder: Folder, name: str) -> None:
    pipeline = folder.proposed([{"id": 1, name: 5, "in": {"deep": 1, name: 2}}])
    assert [column.origin.path for column in pipeline.columns] == ["id", "in"]
    assert f"unsure: {name!r} was left out" in folder.text()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (["createdAt"], "created_at"),
        (["HTMLUrl"], "html_url"),
        (["user", "login"], "user_login"),
        (["properties", "mag"], "mag"),
        (["Zürich (Stadt)"], "zurich_stadt"),
        (["2xx"], "n_2xx"),
        (["名前"], "field"),
        (["order"], "order_value"),
        (["lambda"], "lambda_value"),
        (["id"], "id_2"),
    ],
)
def test_name_of_a_column_follows_that_of_the_api(path: list[str], name: str) -> None:
    assert column_name(path, {"id"}) == name


BIG = 2**63
TYPES: list[tuple[list[Any], str]] = [
    (["5f0c2b1e-8a9d-4e0f-9a3b-0123456789ab"], "uuid"),
    ([1, 2], "int"),
    ([1, 100_000], "bigint"),
    ([1, BIG], "decimal"),
    ([1.5, 2], "double"),
    ([1.5, BIG], "decimal"),
    (["12.50", "-0.1"], "decimal"),
    (["1.10", "1.10.2"], "text"),
    ([True, False], "boolean"),
    (["2026-11-01", "2026-12-31"], "date"),
    (["2026-11-01T00:00:00Z", "2026-11-01T00:00:00.123+01:00"], "timestamp"),
    (["2026-11-01 00:00", "2026-11-01 00:00:01"], "timestamp"),
    (["Wed, 12 Mar 2025 14:30:00 GMT"], "timestamp"),
    (["13.11.2026 10:00", "01.11.2026 11:30"], "timestamp"),
    (["13/11/2026", "01/11/2026"], "date"),
    (["01/11/2026", "02/11/2026"], "text"),
    (["2026-13-45", "2026-11-01"], "text"),
    (["2026-11-01", ""], "text"),
    (["2001:db8::1", "::ffff:1.2.3.4"], "inet"),
    (["1.2.3.4"], "text"),
    (["20261101"], "text"),
    ([["a"], []], "frozen<list<text>>"),
    ([[1], ["a"]], "text"),
    ([[], []], "text"),
    ([["a", None]], "text"),
    ([{}, {"a": 1}], "int"),
    ([{}, {}], "text"),
    ([{f"k{n}": "v"} for n in range(20)], "frozen<map<text, text>>"),
    ([{f"k{n}": n} for n in range(20)], "text"),
    ([1, "a"], "text"),
    ([1, True], "text"),
    ([{"a": 1}, [1], 5], "text"),
    ([None, None], "text"),
    ([{"a": {"b": {"c": {"d": 1}}}}], "text"),
]


def test_type_fits_every_value_of_the_sample(folder: Folder) -> None:
    count = max(len(values) for values, _ in TYPES)
    items = [
        {
            "id": 1_000_000 + number,
            **{f"v{place}": values[number % len(values)] for place, (values, _) in enumerate(TYPES)},
        }
        for number in range(count)
    ]
    done = folder.new(folder.answer(items))
    assert f"{count} of {count} items of the sample are rows" in done.stdout
    found = {column.origin.path.strip("{}").partition(".")[0]: column.cql for column in folder.pipeline().columns[1:]}
    assert found == {f"v{place}": cql for place, (_, cql) in enumerate(TYPES)}


NAMED_TYPES: list[tuple[str, Any, str]] = [
    ("created", 1_764_000_000, "EpochSeconds()"),
    ("updated_at", "1764000000123", "EpochMillis()"),
    ("number", 1_764_000_000, "Annotated[int"),
    ("date", "20261101", "Iso8601()"),
    ("client_ip", "10.0.0.1", "IPAddress"),
    ("price", 12.5, "Decimal"),
    ("view_count", 3, "Annotated[int"),
    ("account_id", 2**70, 'Annotated[str, From("{account_id}")]'),
    ("closed_at", None, "Annotated[datetime | None"),
]


def test_name_tells_what_a_value_is(folder: Folder) -> None:
    values = {name: value for name, value, _ in NAMED_TYPES}
    done = folder.new(folder.answer([{"id": 1, **values}, {"id": 2, **values}]))
    assert "2 of 2 items" in done.stdout
    lines = {line.strip().partition(":")[0]: line for line in folder.text().splitlines() if "Annotated[" in line}
    assert [
        name for name, _, written in NAMED_TYPES if written not in lines.get(name, lines.get(f"{name}_value", ""))
    ] == []


def test_items_that_are_no_objects_are_counted_as_dead_letters(folder: Folder) -> None:
    done = folder.new(folder.answer([*rows(3), 5, "a", None, [1]]))
    assert "3 of 7 items of the sample are rows" in done.stdout
    assert "4 would be dead letters, most of them as not_an_object" in done.stdout
    assert "4 of 7 items are no objects" in folder.text()


def test_the_sample_of_a_huge_answer_is_bounded(folder: Folder) -> None:
    wide = {f"field {number}": number for number in range(200)}
    done = folder.new(folder.answer([{"id": number, **wide} for number in range(1_050)]))
    assert "1000 of 1000 items" in done.stdout
    assert len(folder.pipeline().columns) == 120
    assert "81 more fields were left out, the first is 'field 119'" in folder.text()


def test_an_answer_beyond_the_limit_is_not_read(folder: Folder) -> None:
    folder.patch.setenv("PENSTOCK_SOURCE_MAX_RESPONSE_BYTES", "2000")
    assert "2000 bytes, the limit" in folder.refused(rows(100))
    assert "2000 bytes, the limit" in str(folder.new(folder.answer(rows(100))).exception)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "has no items: the list at 'the root' is empty"),
        ({"data": [], "total": 0}, "has no items: the list at 'data' is empty"),
        ([1, 2], "holds no objects, which is what becomes rows: the answer is a list of 2, which holds int"),
        ({"rows": [[1, 2], [3, 4]], "columns": ["a", "b"]}, "has lists at 'rows' where objects are needed"),
        ("text", "holds no objects, which is what becomes rows: the answer is a str"),
        (None, "holds no objects"),
        ({}, "the answer is an empty object"),
        ([{}], "has no field that could be a key"),
        ([{"x": 1.5}, {"x": 2.5}], "has no field that could be a key"),
    ],
)
def test_an_answer_of_which_no_rows_can_be_made_is_refused_with_what_came(
    folder: Folder, document: Any, says: str
) -> None:
    assert says in folder.refused(document)


HTML = whole(200, b"<html><body>Please log in</body></html>", {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (HTML, "200 with 39 bytes of text/html, which are not JSON"),
        (json_reply({"error": "no"}, 401), "401 Unauthorized. Is the source's auth declared"),
        (json_reply({"error": "no"}, 404), "404 Not Found"),
        (json_reply({}, 500), "500 Internal Server Error"),
        (whole(200, b'[{"id": NaN}]', {}), "which are not JSON"),
        (whole(200, b'[{"id": 1' + b"0" * 5_000 + b"}]", {}), "which are not JSON"),
        (whole(200, b"[" * 100_000, {}), "which are not JSON"),
        (whole(200, b"\xff\xfe", {}), "which are not JSON"),
    ],
)
def test_an_answer_that_is_none_is_told_and_nothing_is_written(folder: Folder, reply: Reply, says: str) -> None:
    assert says in folder.refused_by(always(reply))


def test_a_redirect_to_another_host_takes_no_credentials_along(folder: Folder) -> None:
    asked: list[Asked] = []
    folder.patch.setenv("TOKEN", "hush4711")
    with serving(lambda one: (asked.append(one), json_reply(rows(3)))[1]) as elsewhere:
        moved = whole(302, b"", {"Location": f"{elsewhere}?token=hush4711"})
        says = folder.refused_by(always(moved), "--auth", "bearer:TOKEN")
    assert asked == []
    assert "no redirect is followed; make it the source's address" in says
    assert "hush4711" not in says


def test_an_api_that_answers_otherwise_each_time_is_not_taken_for_pages(folder: Folder) -> None:
    numbers = iter(range(1_000_000))

    def api(_asked: Asked) -> Reply:
        return json_reply([{"id": next(numbers)} for _ in range(10)])

    with serving(api) as url:
        done = folder.new(url)
        assert done.exit_code == 0
        assert done.stderr.count("question ") <= 6
        folder.is_proved(rows=5)
    assert folder.pipeline().source.paging is None


def test_the_users_api_makes_up_its_items(folder: Folder) -> None:
    with Simulator() as api:
        assert folder.new(f"{api.url}?results=10").exit_code == 0
    assert folder.run("check").exit_code == 0  # the next people may have fields that these lack
    pipeline = folder.pipeline()
    assert (pipeline.source.items, pipeline.key, pipeline.source.paging) == ("results", "login_uuid", None)
    assert "the same question brings other items each time" in " ".join(folder.text().replace("#", "").split())


def test_a_list_that_grows_while_it_is_looked_at_has_its_pages_found(folder: Folder) -> None:
    listing = Listing(rows(235), KINDS["page"][0])
    listing.before = lambda number: listing.items.insert(0, {"id": -number, "name": "new"})
    with serving(listing) as url:
        assert folder.new(url).exit_code == 0
    assert folder.pipeline().source.paging == Page()


def test_lone_surrogates_and_braces_harm_nothing(folder: Folder) -> None:
    done = folder.new(folder.answer('[{"id": 1, "\\ud800": "\\udfff", "t": "{start}"}]'))
    assert "0 of 1 items of the sample are rows" in done.stdout
    assert "malformed_json" in done.stdout
    with serving(lambda _asked: json_reply(rows(2))) as url:
        assert folder.new(f"{url}?filter={{id}}&q={{a:b}}", "--force").exit_code == 0
        folder.is_proved(rows=2)
