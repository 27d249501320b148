"""The page about sources: its declarations can be declared; and the command that asks for an interval."""

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from penstock.cli import cli
from penstock.errors import ConfigError
from penstock.source import Paging, Source

PAGE = (Path(__file__).parents[2] / "docs" / "source.md").read_text("utf-8")


def declared() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "source.md", "exec"), names)  # noqa: S102 - a page of ours
    return names


def test_declarations_of_the_page_can_be_declared() -> None:
    names = declared()
    assert names["ISSUES"].needs_interval
    assert names["DAILY"].lag.total_seconds() == 10_800
    assert isinstance(names["LastId"](), Paging)


def test_every_field_of_a_source_is_on_the_page() -> None:
    table = PAGE[: PAGE.index("## The interval")]
    assert [name for name in Source.__dataclass_fields__ if f"`{name}`" not in table] == []


def test_an_interval_has_two_ends() -> None:
    done = CliRunner().invoke(cli, ["ingest", "--from", "2026-11-01"])
    assert done.exit_code == 2
    assert "give both --from and --to" in done.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "asks for {start}, but this run has no data interval"),
        (["--from", "2026-12-01", "--to", "2026-11-01"], "ends before it starts"),
        (["--records", "5"], "this API says itself how many there are"),
    ],
)
def test_question_that_cannot_be_asked_is_refused_before_anything_is_published(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_PIPELINES", "tests.windowed:QUAKES")
    monkeypatch.setenv("PENSTOCK_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    done = CliRunner().invoke(cli, ["ingest", *arguments])
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)
