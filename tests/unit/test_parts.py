"""The runner of the tests' parts, on small suites of its own; and the pages that it keeps."""

import re
from datetime import date
from pathlib import Path

import pytest

from tests.parts import report
from tests.parts.catalogue import Part, parts
from tests.parts.play import Outcome, Stage, judged

FLAKY = """
from pathlib import Path
def test_{0}():
    mark = Path(__file__).with_name("{0}")
    met, _ = mark.exists(), mark.touch()
    assert met, "only the second time"
"""
GRACE_DAYS = 7


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small suites need no plugins, which take most of the time of their start."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def attempted(folder: Path, source: str) -> tuple[bool, list[tuple[str, str]]]:
    """Whether a part of one file passed, and what was kept of second attempts."""
    (folder / "test_small.py").write_text(source, "utf-8")
    stage = Stage(folder, folder / "output")
    outcomes = list(stage.play([Part("small", ("pytest", "test_small.py"))]))
    kept: list[tuple[str, str]] = []
    return judged(stage, outcomes, lambda test, said: kept.append((test, said))), kept


def test_a_test_that_passes_at_its_second_attempt_only_is_kept_with_its_error(tmp_path: Path) -> None:
    passed, kept = attempted(tmp_path, FLAKY.format("a"))
    assert passed
    assert kept == [("test_small.py::test_a", "AssertionError: only the second time")]


def test_two_tests_that_would_pass_at_their_second_attempt_fail_the_run_and_are_told_with_their_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attempted(tmp_path, FLAKY.format("a") + FLAKY.format("b")) == (False, [])
    told = capsys.readouterr().out.partition("scripts/test: FAILED: small\n")[2].splitlines()
    assert [line.partition(" - ")[2] for line in told] == ["AssertionError: only the second time"] * 2


def test_a_test_that_fails_twice_fails_the_run(tmp_path: Path) -> None:
    assert attempted(tmp_path, "def test_a(): assert False") == (False, [])


def test_a_suite_that_cannot_be_read_fails_the_run(tmp_path: Path) -> None:
    assert attempted(tmp_path, "import nothing_of_this_name") == (False, [])


def test_rounds_of_faults_have_no_second_attempt(tmp_path: Path) -> None:
    faults = next(part for part in parts(thorough=False, containers=False, unit=False, seed="1") if not part.pytest)
    output = tmp_path / "output"
    output.touch()
    failed = Outcome(faults, 1, 1.0, output)
    assert not judged(Stage(tmp_path, tmp_path), [failed], lambda *_: pytest.fail("it was attempted again"))


def test_a_thorough_run_leaves_nothing_out() -> None:
    short = parts(thorough=False, containers=True, unit=False, seed="1")
    whole = parts(thorough=True, containers=True, unit=True, seed="1")
    assert {part.name for part in whole} == {part.name for part in short} | {"unit"}
    assert not any("not thorough" in part.arguments or "--drawn" in part.arguments for part in whole)


def test_every_folder_of_tests_is_in_a_part() -> None:
    known = {
        Path(word).parts[1]
        for part in parts(thorough=True, containers=True, unit=True, seed="1")
        for word in part.arguments
        if word.startswith("tests/")
    }
    folders = {
        file.parent.relative_to(report.ROOT / "tests").parts[0] for file in report.ROOT.glob("tests/*/**/test_*.py")
    }
    assert folders == known


def test_table_says_where_the_time_went(tmp_path: Path) -> None:
    outcome = Outcome(Part("spark", ()), 1, 30.0, tmp_path)
    table = report.times_table({"setup": 10.0}, [outcome], 40.0)
    assert "| setup | 10 | 25 % | passed |\n| spark | 30 | 75 % | FAILED |" in table
    assert "| **from begin to end** | 40 | | |" in table


def test_result_of_all_tests_is_not_older_than_what_it_covers() -> None:
    """An expected failure says that it is older; a week later this fails."""
    result = report.last_result(report.RELIABILITY.read_text("utf-8"))
    if result is None:
        pytest.xfail("scripts/test-all has no result yet")
    changed = report.last_change_since(result.commit)
    assert result.passed, "the last scripts/test-all failed"
    if changed:
        said = f"scripts/test-all last ran on {result.on} at {result.commit}, what it covers changed on {changed}"
        assert (changed - result.on).days <= GRACE_DAYS, said
        pytest.xfail(said)


def test_every_second_attempt_has_its_cause_found() -> None:
    rows = re.findall(r"^\| \d{4}-.*\|$", report.SECOND_ATTEMPTS.read_text("utf-8"), re.MULTILINE)
    assert [row for row in rows if row.endswith(f"| {report.OPEN} |")] == []


def test_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", "utf-8")
    assert report.last_result(page.read_text("utf-8")) is None
    report.keep_result("| a table |", passed=True, seed="7", page=page)
    result = report.last_result(page.read_text("utf-8"))
    assert result is not None
    assert (result.passed, result.commit) == (True, report.commit().removesuffix("-dirty"))
    assert result.on >= date(2026, 11, 27)
    assert page.read_text("utf-8").startswith("before\n")
    assert page.read_text("utf-8").endswith("after\n")
