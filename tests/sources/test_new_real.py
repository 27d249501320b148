"""`penstock new` of real API servers: check and preview take what it writes at once, and a run of it misses no row."""

from pathlib import Path
from typing import Any

import pytest

from penstock.source import Header, Link, Offset
from tests.apis import Read
from tests.proposals import Folder
from tests.sources.conftest import ROWS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Folder(tmp_path, monkeypatch)


def proposed(folder: Folder, url: str) -> Any:
    """The source that is proposed, once it has shown that it misses nothing."""
    done = folder.new(url)
    assert done.exit_code == 0, done.exception
    assert done.stderr.count("question ") <= 4
    folder.is_proved(rows=5)
    pipeline = folder.pipeline()
    assert pipeline.key == "id"
    assert Read().items(pipeline.source) == ROWS
    assert {column.name: (column.cql, column.required) for column in pipeline.columns} == {
        "id": ("bigint", True),
        "name": ("text", True),
        "note": ("text", False),
        "size": ("double", True),
    }
    return pipeline.source


def test_datasette_by_link_with_its_total(folder: Folder, datasette: str) -> None:
    source = proposed(folder, f"{datasette}?_shape=objects")
    # It names the next page in its body too.
    assert (source.paging, source.items) == (Link(), "rows")
    assert source.total == "filtered_table_rows_count"


def test_datasette_by_link_with_the_list_at_the_root(folder: Folder, datasette: str) -> None:
    source = proposed(folder, f"{datasette}?_shape=array&_size=50")
    assert (source.paging, source.items, source.params["_size"]) == (Link(), "", "50")


def test_datasette_with_a_row_on_each_line(folder: Folder, datasette: str) -> None:
    source = proposed(folder, f"{datasette}?_shape=array&_nl=on")
    assert (source.paging, source.ndjson) == (Link(), True)


def test_datasettes_own_shape_has_no_objects_and_its_remedy_is_told(folder: Folder, datasette: str) -> None:
    assert "has lists at 'rows' where objects are needed" in str(folder.new(datasette).exception)


def test_json_server_by_link(folder: Folder, json_server: str) -> None:
    assert proposed(folder, f"{json_server}?_page=1&_limit=40").paging == Link()


def test_json_server_by_offset_with_its_total(folder: Folder, json_server: str) -> None:
    source = proposed(folder, f"{json_server}?_start=0&_limit=40")
    assert source.paging == Offset(offset_param="_start", limit_param="_limit", limit=40)
    assert source.total == Header("X-Total-Count")


def test_json_server_at_once(folder: Folder, json_server: str) -> None:
    assert proposed(folder, json_server).paging is None
