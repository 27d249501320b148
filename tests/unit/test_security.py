"""What SECURITY.md and the page about the supply chain promise is shown by tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "SECURITY.md", ROOT / "docs" / "supply-chain.md"]
TEST = re.compile(r"(tests/[\w/]+\.py)(?:::(test_\w+))?")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    named = TEST.findall(page.read_text("utf-8"))
    assert named
    absent = [f"{file}::{name}" for file, name in named if not _is_there(ROOT / file, name)]
    assert absent == []


def test_every_threat_names_a_test_or_says_that_nothing_protects() -> None:
    table = (ROOT / "SECURITY.md").read_text("utf-8").partition("## Threats")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    assert [row[0] for row in rows if not TEST.search(row[3]) and not row[1].strip().startswith("nothing")] == []


def _is_there(file: Path, name: str) -> bool:
    return file.exists() and (not name or f"def {name}(" in file.read_text("utf-8"))
