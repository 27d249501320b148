"""Lists of real API servers, read by every kind of paging that they have: each row once, as dlt's client reads them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.config import child_environment
from penstock.errors import SourceAnswerError
from penstock.source import Cursor, Header, Link, NextUrl, Offset, Page, Source
from tests.apis import Read
from tests.sources.conftest import ROWS

ROOT = Path(__file__).parents[2]
# Pages end within the list, at its end, and beyond it.
SIZES = [13, 100, 247, 248]


def read_by_dlt(folder: Path, *lists: dict[str, Any]) -> list[list[Any]]:
    """The lists as dlt's REST client reads them, in one process, as its import takes longer than all of them."""
    private = {"HOME": str(folder), "DLT_DATA_DIR": str(folder), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.sources.oracle", json.dumps(lists)],
        cwd=ROOT,
        env=child_environment(private),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("size", SIZES)
def test_datasette_by_next_url(datasette: str, size: int) -> None:
    paging = NextUrl(next_url_path="next_url", size_param="_size", size=size)
    source = Source(datasette, "rows", params={"_shape": "objects"}, paging=paging, total="filtered_table_rows_count")
    assert Read().items(source) == ROWS


@pytest.mark.parametrize("size", SIZES)
def test_datasette_by_cursor(datasette: str, size: int) -> None:
    paging = Cursor(cursor_path="next", cursor_param="_next", size_param="_size", size=size)
    assert Read().items(Source(datasette, "rows", params={"_shape": "objects"}, paging=paging)) == ROWS


@pytest.mark.parametrize("size", SIZES)
def test_datasette_by_link_with_the_list_at_the_root(datasette: str, size: int) -> None:
    source = Source(datasette, "", params={"_shape": "array"}, paging=Link(size_param="_size", size=size))
    assert Read().items(source) == ROWS


def test_datasette_by_link_with_a_row_on_each_line(datasette: str) -> None:
    params = {"_shape": "array", "_nl": "on"}
    source = Source(datasette, "", params=params, ndjson=True, paging=Link(size_param="_size", size=50))
    assert Read().items(source) == ROWS


def test_datasette_gives_fewer_rows_than_asked_for_and_none_is_missed(datasette: str) -> None:
    # Without _size it gives 100 a page, and names what follows.
    source = Source(datasette, "rows", params={"_shape": "objects"}, paging=NextUrl(next_url_path="next_url"))
    assert Read().items(source) == ROWS


def test_datasettes_statement_of_an_error_is_told(datasette: str) -> None:
    with pytest.raises(SourceAnswerError, match="400 Bad Request"):
        Read().items(Source(datasette, "rows", params={"_size": "many"}))


def test_datasettes_answer_of_another_shape_is_told(datasette: str) -> None:
    with pytest.raises(
        SourceAnswerError, match=r"items is 'data', which is absent or null: the answer's keys are .*rows"
    ):
        Read().items(Source(datasette, "data"))


@pytest.mark.parametrize("size", SIZES)
def test_json_server_by_page(json_server: str, size: int) -> None:
    source = Source(json_server, "", paging=Page(page_param="_page", size_param="_limit", size=size))
    assert Read().items(source) == ROWS


@pytest.mark.parametrize("size", SIZES)
def test_json_server_by_offset_with_its_total(json_server: str, size: int) -> None:
    paging = Offset(offset_param="_start", limit_param="_limit", limit=size)
    assert Read().items(Source(json_server, "", paging=paging, total=Header("X-Total-Count"))) == ROWS


@pytest.mark.parametrize("size", SIZES)
def test_json_server_by_link(json_server: str, size: int) -> None:
    paging = Link(size_param="_limit", size=size)
    assert Read().items(Source(json_server, "", params={"_page": 1}, paging=paging)) == ROWS


def test_json_server_at_once(json_server: str) -> None:
    assert Read().items(Source(json_server, "")) == ROWS


def test_json_server_that_is_asked_with_another_parameter_than_it_knows_is_noticed(json_server: str) -> None:
    with pytest.raises(SourceAnswerError, match="page 2 holds the same 247 items as page 1"):
        Read().items(Source(json_server, "", paging=Page(page_param="page", size_param="per_page", size=100)))


def test_dlt_reads_the_same(datasette: str, json_server: str, tmp_path: Path) -> None:
    datasettes = {"url": datasette, "params": {"_shape": "objects", "_size": 100}, "items": "rows"}
    servers = {"url": json_server, "params": {"_limit": 100}, "items": "$"}
    lists = read_by_dlt(
        tmp_path,
        {**datasettes, "kind": "next url", "options": {"next_url_path": "next_url"}},
        {**servers, "kind": "link", "options": {}, "params": {"_page": 1, "_limit": 100}},
        {**servers, "kind": "page", "options": {"page_param": "_page", "base_page": 1, "total_path": None}},
        {
            **servers,
            "kind": "offset",
            "options": {"limit": 100, "offset_param": "_start", "limit_param": "_limit", "total_path": None},
        },
    )
    assert lists == [ROWS] * 4
