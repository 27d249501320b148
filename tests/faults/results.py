"""What came of the trials: kept a line each in a file, and shown as a table."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.faults.check import Findings

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


@dataclass(frozen=True)
class Outcome:
    """What one trial found."""

    fault: str
    seed: int
    records: int = 0
    seconds: float = 0
    """From the fault until everything was ready and a record that was published then was in the table."""
    took_s: float = 0
    """The whole trial, with its checks."""
    detail: str = ""
    """What the seed decided, where the fault has a choice."""
    findings: Findings = field(default_factory=Findings)
    failure: str = ""

    @property
    def passed(self) -> bool:
        return not self.failure and not self.findings.wrong

    @property
    def words(self) -> str:
        return self.failure or str(self.findings)


@dataclass(frozen=True)
class Result:
    """One line of the file: an outcome, on which stack, as which trial of which series."""

    on: str
    stack: str
    series: int
    number: int
    fault: str
    seed: int
    detail: str
    records: int
    lost: int
    duplicated: int
    seconds: float
    took_s: float
    words: str
    """What was found or went wrong; empty where the trial passed."""
    covers: tuple[int, ...] = ()
    """Of a deep account: the numbers of the trials that it looked at."""

    @classmethod
    def of(cls, outcome: Outcome, on: str, stack: str, series: int, number: int, covers: tuple[int, ...] = ()) -> Self:
        same = ("fault", "seed", "detail", "records", "seconds", "took_s")
        values: dict[str, Any] = {name: getattr(outcome, name) for name in same}
        lost, duplicated = outcome.findings.lost, outcome.findings.duplicated
        words = "" if outcome.passed else outcome.words
        return cls(on, stack, series, number, lost=lost, duplicated=duplicated, words=words, covers=covers, **values)


def kept(file: Path) -> list[Result]:
    """The results in the file; none where there is no file.

    Left out are a line that a stop of the machine cut, and trials that passed on a stack that was stopped before its
    deep account: they are to be played again.
    """
    if not file.exists():
        return []
    lines = file.read_text("utf-8").splitlines(keepends=True)
    read = [_result(json.loads(line)) for line in lines if line.endswith("\n") and line.strip()]
    covered = {(one.series, one.stack, number) for one in read for number in one.covers}
    return [one for one in read if one.words or (one.series, one.stack, one.number) in covered]


def _result(line: dict[str, Any]) -> Result:
    return Result(**{**line, "covers": tuple(line.get("covers", ()))})


def keep(file: Path, result: Result) -> None:
    """Appends it."""
    text = file.read_text("utf-8") if file.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:  # the rest of a line that was being written when the machine stopped
        file.write_text(whole, "utf-8")
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")


def spread(values: Iterable[float]) -> tuple[float, float, float, float]:
    """Least, median, ninetieth percentile (of the values, the first that nine in ten do not exceed), greatest."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]

    return ordered[0], at(0.5), at(0.9), ordered[-1]


def table(results: Sequence[Result]) -> str:
    """By fault, in the order in which they first come; as Markdown."""
    rows = [
        "| fault | trials | records | lost | duplicated | seconds to recover: min | median | p90 | max | result |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    names = list(dict.fromkeys(one.fault for one in results))
    rows += [_row(name, [one for one in results if one.fault == name]) for name in names]
    return "\n".join([*rows, _row("**all**", results)] if len(names) > 1 else rows)


def _row(name: str, results: Sequence[Result]) -> str:
    failed = sum(bool(one.words) for one in results)
    recovered = [one.seconds for one in results if one.seconds]
    seconds = [f"{value:.0f}" for value in spread(recovered)] if recovered else [""] * 4
    sums = [sum(getattr(one, what) for one in results) for what in ("records", "lost", "duplicated")]
    cells = [name, str(len(results)), *(f"{value:,}" for value in sums), *seconds]
    return f"| {' | '.join(cells)} | {f'{failed} FAILED' if failed else 'passed'} |"


def summary(results: Sequence[Result]) -> str:
    """The sentences beneath the table."""
    took_s = [one.took_s for one in results]
    least, median, ninth, most = spread(took_s)
    share = 100 * sum(one.seconds for one in results) / sum(took_s)
    stacks = ", ".join(f"{stack} ({count})" for stack, count in Counter(one.stack for one in results).items())
    return (
        f"{len(results)} trial{'s' * (len(results) > 1)} on {stacks}; "
        f"a trial took {least:.0f} to {most:.0f} s with its checks, median {median:.0f} s, p90 {ninth:.0f} s; "
        f"under fault {share:.0f} % of that time."
    )


def seeds(results: Sequence[Result]) -> str:
    """Which seeds the trials of each series had, as ranges."""
    words = []
    for series in dict.fromkeys(one.series for one in results):
        numbers = sorted({one.seed for one in results if one.series == series})
        words.append(f"`--seed {series}`: {', '.join(_ranges(numbers))}")
    return "; ".join(words)


def _ranges(numbers: Sequence[int]) -> list[str]:
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ["–".join(map(str, dict.fromkeys(one))) for one in ranges]


def section(results: Sequence[Result]) -> str:
    """What stands between the marks of the page."""
    if not results:
        return "No trial has been played yet."
    days = sorted({one.on for one in results})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    failures = "".join(
        f"\n- {one.fault}, seed {one.seed} ({one.detail or one.stack}): {one.words}" for one in results if one.words
    )
    told = f"\n\nFailed:\n{failures}" if failures else ""
    return f"{summary(results)} {when}, seeds {seeds(results)}.\n\n{table(results)}{told}"


def write(results: Sequence[Result], page: Path = PAGE) -> None:
    """Replaces what stands between the marks."""
    before, rest = page.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{section(results)}\n{END}{after}", "utf-8")


def shown(page: Path = PAGE) -> str:
    """What stands there."""
    return page.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip("\n")
