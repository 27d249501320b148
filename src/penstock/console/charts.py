"""Small charts of the history: lines that are broken where nobody looked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from penstock.console.history import LARGEST_GAP, Point, Span, as_columns, rates

WIDTH, HEIGHT = 300, 72
_TOP, _BOTTOM = 6, 4


@dataclass(frozen=True)
class Chart:
    """One line in a box of `WIDTH` by `HEIGHT`, as SVG paths; `words` says what it shows."""

    title: str
    now: str
    most: str
    line: str
    area: str
    words: str
    kind: str


def charts(points: Sequence[Point], span: Span, now_s: float) -> list[Chart]:
    """Rows a second, what waits, how old the oldest is."""
    found = list(rates(list(points), span))
    passed = {at_s: each.passed for at_s, each in found if each.passed is not None}
    return [
        _chart("Records a second that Spark passed", passed, span, now_s, "rate", "/s"),
        _chart("Waiting in Kafka", as_columns(list(points), "waiting"), span, now_s, "wait", ""),
        _chart("Age of the oldest that waits", as_columns(list(points), "oldest_s"), span, now_s, "age", "s"),
    ]


def _chart(title: str, values: Mapping[float, float], span: Span, now_s: float, kind: str, unit: str) -> Chart:
    if not values:
        return Chart(title, "", "", "", "", f"{title}: nothing is known of the last {span.name} yet.", kind)
    most, last = max(values.values()), list(values.values())[-1]
    top = most or 1.0
    start_s = now_s - span.seconds
    parts = [
        [(_x(at_s, start_s, span), _y(value / top)) for at_s, value in part]
        for part in _unbroken(values.items(), span.step_s * LARGEST_GAP)
    ]
    line = " ".join(_path(part) for part in parts)
    area = " ".join(f"{_path(part)} V{HEIGHT} H{part[0][0]} Z" for part in parts)
    words = f"{title}, the last {span.name}: now {_number(last, unit)}, at most {_number(most, unit)}."
    return Chart(title, _number(last, unit), _number(most, unit), line, area, words, kind)


def _unbroken(values: Iterable[tuple[float, float]], gap_s: float) -> list[list[tuple[float, float]]]:
    parts: list[list[tuple[float, float]]] = []
    for at_s, value in values:
        if not parts or at_s - parts[-1][-1][0] > gap_s:
            parts.append([])
        parts[-1].append((at_s, value))
    return parts


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x} {y}" for x, y in places)


def _x(at_s: float, start_s: float, span: Span) -> float:
    return round(min(1.0, max(0.0, (at_s - start_s) / span.seconds)) * WIDTH, 1)


def _y(share: float) -> float:
    return round(_TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM), 1)


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
    return f"{text} {unit}".strip()
