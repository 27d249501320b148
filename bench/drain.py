"""A backlog written to the table: who is how fast, and is every row there and right?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import numbers
from bench.dataset import Dataset
from bench.peers.contender import Contender, running
from bench.place import Place
from bench.watch import Seen, watch

SLOWEST_RATE = 500
"""Rows a second. Who is slower is stopped."""
_START_TIMEOUT_S = 300
_POINTS = 60
_LAST_LINES = 20


@dataclass(frozen=True)
class Entry:
    """Who drains what; `malformed_percent` of the backlog are no records."""

    contender: Contender
    dataset: Dataset
    malformed_percent: int = 0
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or self.contender.name


@dataclass
class Rounds:
    """Outcomes by name, in the order of the rounds; `absent` says who could not take part, and why."""

    outcomes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def drain(place: Place, entry: Entry, folder_name: str) -> dict[str, Any]:
    """One run, from an empty table to the check of all rows. `wrong` is empty where the run counts."""
    place.empty_table()
    folder = place.runs / folder_name
    folder.mkdir(parents=True)
    own_keys = entry.contender.own_keys
    expected = entry.dataset.expected_of_columns() if own_keys else entry.dataset.expected(entry.malformed_percent)
    before = place.writes()
    command = entry.contender.command(place, entry.dataset, folder)
    with running(command, place, folder) as process:
        timeout_s = _START_TIMEOUT_S + expected.rows / SLOWEST_RATE
        seen = watch(place, process, before, expected.rows, timeout_s)
    wrong = expected.difference(place.read_back(expected.rows), keys=not own_keys)
    if wrong:
        wrong += f" (exit code {seen.exit_code}, {seen.curve[-1:]} written). Its last words:\n{last_words(folder)}"
    return outcome(seen, wrong)


def last_words(folder: Path) -> str:
    """The end of a contender's log; the folder goes with the home."""
    return "\n".join((folder / "log").read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])


def outcome(seen: Seen, wrong: str) -> dict[str, Any]:
    """What the report keeps of a run."""
    if wrong or not seen.complete:
        return {"wrong": wrong or "the run was stopped before its end"}
    step = max(1, len(seen.curve) // _POINTS)
    return {
        "wrong": "",
        "rows": seen.rows,
        "total_s": seen.total_s,
        "first_row_s": seen.curve[0][0],
        "drain_s": seen.drain_s,
        "rate": seen.rate,
        "total_rate": seen.rows / seen.total_s,
        "warm_rate": seen.warm_rate,
        "written_twice": seen.curve[-1][1] - seen.rows,
        "cpu_s": seen.usage.cpu_s,
        "peak_mib": seen.usage.peak_mib,
        "curve": [*seen.curve[::step], seen.curve[-1]],
    }


def rounds(place: Place, entries: Sequence[Entry], count: int, warm_up: Sequence[str] | None = None) -> Rounds:
    """All entries in turn, forth and back; a warm-up of everyone first, or of these names, which does not count."""
    by_name = {entry.name: entry for entry in entries if not entry.contender.absent}
    found = Rounds(absent={entry.name: entry.contender.absent for entry in entries if entry.contender.absent})
    for name, reason in found.absent.items():
        print(f"absent: {name}: {reason}", flush=True)
    first = [name for name in by_name if warm_up is None or name in warm_up]
    for label, name, counts in numbers.turns(list(by_name), count, first):
        result = drain(place, by_name[name], f"{label}-{name}")
        print(f"{label:8} {name:16} {_sentence(result)}", flush=True)
        if counts:
            found.outcomes.setdefault(name, []).append(result)
    return found


def _sentence(result: Mapping[str, Any]) -> str:
    if result["wrong"]:
        return f"scores nothing: {result['wrong']}"
    cpu = ", ".join(f"{role} {seconds:.0f}" for role, seconds in result["cpu_s"].items() if seconds >= 0.5)
    return (
        f"{result['rate']:7.0f} rows/s ({result['warm_rate']:.0f} in the second half), first after "
        f"{result['first_row_s']:.1f} s, all after {result['total_s']:.1f} s; CPU seconds: {cpu}"
    )
