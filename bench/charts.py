"""Charts as SVG, readable on light and on dark pages."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from bench.numbers import Spread

_WIDTH, _LEFT, _BAR, _GAP, _TOP = 720, 150, 22, 14, 44
_TIME_HEIGHT = 320


def bars(title: str, values: Mapping[str, Spread]) -> str:
    """One bar a name: its length is the median, the line on it the range."""
    most = max(spread.most for spread in values.values())
    scale = (_WIDTH - _LEFT - 90) / most
    height = _TOP + len(values) * (_BAR + _GAP) + 10
    lines = _begin(title, height)
    for number, (name, spread) in enumerate(values.items()):
        lines += _bar(name, spread, scale, _TOP + number * (_BAR + _GAP))
    return "\n".join([*lines, "</svg>", ""])


def over_time(title: str, curves: Mapping[str, Sequence[tuple[float, float, float]]]) -> str:
    """(second, median, worst in it) of each name, the worst as a thin line; milliseconds on a logarithmic axis."""
    values = [value for curve in curves.values() for _, *each in curve for value in each]
    seconds = [second for curve in curves.values() for second, *_ in curve]
    low, high = math.floor(math.log10(max(1, min(values)))), math.ceil(math.log10(max(values)))
    left, right, top, bottom = 96, _WIDTH - 16, 60, _TIME_HEIGHT - 30

    def x(second: float) -> float:
        return left + (right - left) * (second - min(seconds)) / max(1, max(seconds) - min(seconds))

    def y(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(max(1, value)) - low) / max(1, high - low)

    lines = _begin(title, _TIME_HEIGHT)
    for power in range(low, high + 1):
        at = y(10.0**power)
        lines.append(f'<line class="range" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" opacity="0.2"/>')
        lines.append(f'<text x="{left - 8}" y="{at + 5:.1f}" text-anchor="end">{10**power:,} ms</text>')
    for number, (name, curve) in enumerate(curves.items()):
        colour = _colour(name)
        lines.append(f'<text x="{left + 150 * number}" y="46" style="fill:{colour}">{escape(name)}</text>')
        for place, width in ((1, 2), (2, 0.7)):
            points = " ".join(f"{x(one[0]):.1f},{y(one[place]):.1f}" for one in curve)
            lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    lines.append(f'<text x="{right}" y="{_TIME_HEIGHT - 8}" text-anchor="end">{max(seconds):.0f} s</text>')
    return "\n".join([*lines, "</svg>", ""])


def _begin(title: str, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="14">',
        "<style>text{fill:#24292f}.range{stroke:#24292f}"
        "@media (prefers-color-scheme: dark){text{fill:#e6edf3}.range{stroke:#e6edf3}}</style>",
        f'<text x="8" y="24" font-weight="bold">{escape(title)}</text>',
    ]


def _colour(name: str) -> str:
    return "#1f6feb" if name.startswith("ours") else "#8c959f"


def _bar(name: str, spread: Spread, scale: float, top: int) -> list[str]:
    middle = top + _BAR / 2
    start, end = _LEFT + spread.least * scale, _LEFT + spread.most * scale
    return [
        f'<text x="{_LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{spread.median * scale:.1f}" height="{_BAR}" fill="{_colour(name)}"/>',
        f'<line class="range" x1="{start:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}" stroke-width="2"/>',
        f'<text x="{end + 8:.1f}" y="{middle + 5}">{spread.median:,.0f}</text>',
    ]
