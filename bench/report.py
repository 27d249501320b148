"""Results -> the tables and charts of `docs/benchmarks.md`, and what README quotes of them, between their markers."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import charts
from bench.numbers import Spread, ratio


@dataclass(frozen=True)
class Aim:
    """One contender's figure divided by another's, and what we want of it."""

    one: str
    other: str
    key: str
    wanted: str


_DRAIN = (
    Aim("ours", "dsbulk", "rate", "≥ 2"),
    Aim("ours", "bento", "rate", "≥ 1.2"),
    Aim("ours", "tutorial", "rate", "≥ 2.5"),
    Aim("ours", "latte", "rate", "≥ 0.85"),
)
_AIMS: Mapping[str, Sequence[Aim]] = {
    "drain": _DRAIN,
    "latency": (Aim("ours", "tutorial", "p50_ms", "≤ 0.1"), Aim("ours", "tutorial", "p99_ms", "≤ 0.5")),
    "ingest": (Aim("ours", "kafka-tool", "rate", "≥ 0.5"), Aim("ours", "kafka-tool-zstd", "rate", "")),
    "safety": (
        Aim("malformed-2", "malformed-0", "rate", ""),
        Aim("malformed-10", "malformed-0", "rate", "≥ 0.95"),
    ),
    "absent": tuple(
        Aim(f"{fields}-clear", f"{fields}-keep", key, "")
        for fields in ("whole", "half")
        for key in ("rate", "cassandra_cpu_us", "spark_cpu_us")
    ),
    "account": (Aim("on-spark", "python", "seconds", ""),),
    "security": tuple(
        Aim("secure", "open", key, "") for key in ("start_s", "memory_gib", "rate", "total_rate", "p50_ms", "p99_ms")
    ),
}
"""By part; those of the drain are meant for the large backlog."""
_SMALL, _LARGE = "drain-200000", "drain-2000000"
_KNOWN_AS = {
    "dsbulk": "DSBulk, from a file",
    "bento": "Bento, tuned",
    "tutorial": "the tutorials' Spark code, corrected",
    "latte": "latte: single-row INSERTs, nothing read",
}
"""The others' names in README."""
_CLIENT = ("client", "executor")
"""The roles of a contender's own processes."""
_TWO_DIGITS = 10
"""Smaller figures are shown with a decimal."""
_TITLES = {
    "rate": "records/s",
    "total_rate": "records/s with the start",
    "busy_percent": "processors busy, %",
    "cassandra_cpu_us": "Cassandra's CPU, µs a row",
    "spark_cpu_us": "Spark's CPU, µs a row",
    "memory_gib": "memory, GiB",
    "peak_mib": "memory at its peak, MiB",
    "python_mib": "Python's memory, MiB",
    "java_mib": "Java's memory, MiB",
}
"""Of the figures whose key does not say by itself what they are."""
_NO_FIGURES = ("wrong", "curve")
"""What an outcome holds beside its figures."""


def write(results: Path, docs: Path, readme: Path) -> None:
    """Replaces what stands between the markers of each part that was measured."""
    page = docs / "benchmarks.md"
    text = page.read_text("utf-8")
    for path in sorted(results.glob("*.json")):
        found = json.loads(path.read_text("utf-8"))
        text = replaced(text, path.stem, _section(path.stem, found))
        if chart := _chart(path.stem, found):
            (docs / f"bench-{path.stem}.svg").write_text(chart, "utf-8")
    small, large = results / f"{_SMALL}.json", results / f"{_LARGE}.json"
    if small.exists() and large.exists():
        both = [json.loads(path.read_text("utf-8"))["outcomes"] for path in (small, large)]
        text = replaced(text, "growth", "\n".join(_growth(*both)))
        quoted = replaced(readme.read_text("utf-8"), "ratios", "\n".join(_quoted(*both)))
        readme.write_text(quoted, "utf-8")
    page.write_text(text, "utf-8")


def replaced(text: str, name: str, section: str) -> str:
    """The text with another section between `<!-- name -->` and `<!-- /name -->`."""
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"the page has no place for {name}: give it <!-- {name} --> and <!-- /{name} -->")
    return pattern.sub(lambda match: f"{match[1]}{section}\n{match[2]}", text)


def good(outcomes: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """The figures of the rounds that count."""
    return [outcome[key] for outcome in outcomes if not outcome["wrong"]]


def _section(name: str, found: Mapping[str, Any]) -> str:
    table = _drain_table if name.startswith(("drain", "safety")) else _plain_table
    about = found["about"]
    machine, servers = about["machine"], about["servers"]
    told = (
        f"`{about['command']}`, {about['date']}, commit {about['commit']}: rounds: {about['rounds']}"
        f", warm-up of {about['warm_up'] or 'nobody'}; {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, Linux {machine['system']}; Cassandra {servers['cassandra']}, Kafka "
        f"{servers['kafka']}, Spark {servers['spark']}."
    )
    lines = [told, "", *table(found["outcomes"], about.get("contenders", {}))]
    lines += [f"| {who} | absent: {why} |" for who, why in found["absent"].items()]
    chart = ["", f"![{name}](bench-{name}.svg)"] if _chart(name, found) else []
    return "\n".join([*lines, *_ratios(name, found["outcomes"]), *chart])


def _drain_table(outcomes: Mapping[str, Any], contenders: Mapping[str, Any]) -> list[str]:
    lines = [
        "| who | rows/s after the first rows: median (range) | in the second half | with the start | CPU µs a row: "
        "client + Cassandra | client's memory, MiB | version, heap | rounds that count |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, all_outcomes in outcomes.items():
        kept = [outcome for outcome in all_outcomes if not outcome["wrong"]]
        known = contenders.get(name, {})
        cells = [_drain_cells(kept), f"{known.get('version', '')} {known.get('heap', '')}".strip()]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(kept)} of {len(all_outcomes)} |")
    return lines


def _drain_cells(kept: Sequence[Mapping[str, Any]]) -> str:
    if not kept:
        return "– | – | – | – | –"
    rates = (_span(good(kept, key)) for key in ("rate", "warm_rate", "total_rate"))
    cpu = (
        _span([1e6 * _sum(one["cpu_s"], roles) / one["rows"] for one in kept]) for roles in (_CLIENT, ("cassandra",))
    )
    memory = _span(_memory(kept))
    return f"{' | '.join(rates)} | {' + '.join(cpu)} | {memory}"


def _plain_table(outcomes: Mapping[str, Any], _: Mapping[str, Any]) -> list[str]:
    keys = list(
        dict.fromkeys(key for rounds in outcomes.values() for one in rounds for key in one if key not in _NO_FIGURES)
    )
    lines = [f"| who | {' | '.join(map(_title, keys))} | rounds that count |", f"|---|{'---|' * len(keys)}---|"]
    for name, rounds in outcomes.items():
        kept = [one for one in rounds if not one["wrong"]]
        cells = [_span([one[key] for one in kept if key in one]) for key in keys]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(kept)} of {len(rounds)} |")
    return lines


def _ratios(name: str, outcomes: Mapping[str, Any]) -> list[str]:
    """The table of the ratios that are aimed at, with the aims; empty where there is none."""
    rows = [
        f"| {aim.one} ÷ {aim.other} | {_title(aim.key)} | {found} | {aim.wanted} |"
        for aim in _AIMS.get(name.partition("-")[0], ())
        if (found := _ratio(outcomes, aim))
    ]
    return ["", "| | of | median (range) over the rounds | aim |", "|---|---|---|---|", *rows] if rows else []


def _ratio(outcomes: Mapping[str, Any], aim: Aim) -> str:
    """Of the rounds in their pairs; empty where a round of either was wrong."""
    if not (_all_count(outcomes, aim.one) and _all_count(outcomes, aim.other)):
        return ""
    found = ratio(good(outcomes[aim.one], aim.key), good(outcomes[aim.other], aim.key))
    return _shown(found, ".2f", len(outcomes[aim.one]))


def _quoted(small: Mapping[str, Any], large: Mapping[str, Any]) -> list[str]:
    """What README says: ours, divided by the others."""
    lines = ["| Penstock's rows/s ÷ | backlog of 200,000 | backlog of 2,000,000 |", "|---|---|---|"]
    for aim in _DRAIN:
        both = (_ratio(outcomes, aim) or "–" for outcomes in (small, large))
        lines.append(f"| {_KNOWN_AS[aim.other]} | {' | '.join(both)} |")
    return lines


def _growth(small: Mapping[str, Any], large: Mapping[str, Any]) -> list[str]:
    """Whether ten times as many records take ten times as long: 1.00 is exactly that, by medians."""
    lines = ["| who | time(10 N) ÷ 10 × time(N) | client's memory at 10 N ÷ at N |", "|---|---|---|"]
    for name in small:
        if _all_count(small, name) and _all_count(large, name):
            times, memory = (
                [Spread.of(figures(rounds[name])).median for rounds in (small, large)]
                for figures in (lambda rounds: good(rounds, "drain_s"), _memory)
            )
            lines.append(f"| {name} | {times[1] / (10 * times[0]):.2f} | {memory[1] / memory[0]:.2f} |")
    return lines


def _memory(outcomes: Sequence[Mapping[str, Any]]) -> list[float]:
    """MiB of a contender's processes, driver and executor together."""
    return [_sum(outcome["peak_mib"], _CLIENT) for outcome in outcomes]


def _all_count(outcomes: Mapping[str, Any], name: str) -> bool:
    return name in outcomes and not any(one["wrong"] for one in outcomes[name])


def _span(values: Sequence[float]) -> str:
    if not values:
        return "–"
    found = Spread.of(values)
    return _shown(found, ",.0f" if found.median >= _TWO_DIGITS or not found.most % 1 else ".1f", len(values))


def _title(key: str) -> str:
    """The heading of a column: `start_s` is "start, s"."""
    name, _, unit = key.rpartition("_")
    return _TITLES.get(key) or (f"{name.replace('_', ' ')}, {unit}" if name else unit)


def _shown(found: Spread, form: str, rounds: int) -> str:
    """One round has no range."""
    span = f" ({found.least:{form}}–{found.most:{form}})" if rounds > 1 else ""
    return f"{found.median:{form}}{span}"


def _sum(by_role: Mapping[str, float], roles: Sequence[str]) -> float:
    return sum(by_role.get(role, 0) for role in roles)


def _chart(name: str, found: Mapping[str, Any]) -> str:
    if name == "latency":
        curves = {who: one["curve"] for who, rounds in found["outcomes"].items() for one in rounds if "curve" in one}
        title = "from the answer to the readable row, the last round: median of each second, and its worst"
        return charts.over_time(title, curves) if curves else ""
    values = {who: Spread.of(good(rounds, "rate")) for who, rounds in found["outcomes"].items() if good(rounds, "rate")}
    return charts.bars(f"{name}: records a second", values) if values else ""
