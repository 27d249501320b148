"""What a run of the parts leaves behind: a table of where the time went, second attempts, and the last whole result."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from tests.parts.play import Outcome

ROOT = Path(__file__).parents[2]
TIMES = ROOT / ".ci" / "times.md"
SECOND_ATTEMPTS = ROOT / "docs" / "second-attempts.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- test-all: begin -->", "<!-- test-all: end -->"
OPEN = "open"
"""In the column for the cause of a test that passed at its second attempt only."""

COVERED = ("src", "dags", "tests", "compose.yaml", "Dockerfile", "requirements.lock")
"""What `scripts/test-all` tells something about."""


@dataclass(frozen=True)
class Result:
    """One result of `scripts/test-all`, as it stands in the page."""

    on: date
    commit: str
    passed: bool


def times_table(spent_s: Mapping[str, float], outcomes: Sequence[Outcome], whole_s: float) -> str:
    """Part, seconds, share and result, as Markdown. Parts run beside one another, so that their sum exceeds the whole.

    `spent_s` are the seconds of what ran before the parts.
    """
    results = {one.part.name: "passed" if one.passed else "FAILED" for one in outcomes}
    seconds = {**spent_s, **{one.part.name: one.seconds for one in outcomes}}
    total = sum(seconds.values())
    rows = [
        f"| {name} | {s:.0f} | {100 * s / total:.0f} % | {results.get(name, 'passed')} |" for name, s in seconds.items()
    ]
    head = ["| part | seconds | share | result |", "|---|--:|--:|---|"]
    return "\n".join(
        [*head, *rows, f"| sum | {total:.0f} | 100 % | |", f"| **from begin to end** | {whole_s:.0f} | | |"]
    )


def keep_times(table: str) -> None:
    """Replaces the last figures of this checkout."""
    TIMES.write_text(f"`.ci/run`, {_today()}, commit {commit()}:\n\n{table}\n", "utf-8")


def keep_second_attempt(test: str, said: str) -> None:
    """Adds a test that passed at its second attempt only, its cause open."""
    with SECOND_ATTEMPTS.open("a", encoding="utf-8") as file:
        file.write(f"| {_today()} | {commit()} | `{test}` | {said.replace('|', '/')} | {OPEN} |\n")


def keep_result(table: str, *, passed: bool, seed: str, page: Path = RELIABILITY) -> None:
    """Replaces the result of `scripts/test-all` in the page on reliability."""
    before, rest = page.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    word = "passed" if passed else "failed"
    text = f"\n`scripts/test-all --seed {seed}` {word} on {_today()} at commit {commit()}:\n\n{table}\n"
    page.write_text(f"{before}{BEGIN}{text}{END}{after}", "utf-8")


def last_result(page: str) -> Result | None:
    """The result that the page shows; None before the first one."""
    line = page.partition(BEGIN)[2].partition(END)[0].strip().partition("\n")[0]
    if not line.startswith("`"):
        return None
    word, _, on, _, _, commit_ = line.partition("` ")[2].rstrip(":").split()
    return Result(date.fromisoformat(on), commit_.removesuffix("-dirty"), word == "passed")


def last_change_since(commit_: str) -> date | None:
    """The day of the last commit after this one that changed what `scripts/test-all` covers; None when none did.

    Raises:
        subprocess.CalledProcessError: the history here does not hold the commit.
    """
    found = _git("log", "-1", "--format=%cs", f"{commit_}..HEAD", "--", *COVERED)
    return date.fromisoformat(found) if found else None


def commit() -> str:
    """The commit that is checked out, with `-dirty` where files of the tests or the product differ from it."""
    changed = _git("status", "--porcelain", "--", *COVERED)
    return _git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(
        ("git", "-C", str(ROOT), *arguments), capture_output=True, text=True, check=True
    ).stdout.strip()


def _today() -> date:
    return datetime.now(UTC).date()
