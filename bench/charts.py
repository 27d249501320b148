"""Bar charts as SVG, readable on light and on dark pages."""

from collections.abc import Mapping
from html import escape

from bench.numbers import Spread

_WIDTH, _LEFT, _BAR, _GAP, _TOP = 720, 150, 22, 14, 44


def bars(title: str, values: Mapping[str, Spread]) -> str:
    """One bar a name: its length is the median, the line on it the range."""
    most = max(spread.most for spread in values.values())
    scale = (_WIDTH - _LEFT - 90) / most
    height = _TOP + len(values) * (_BAR + _GAP) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="sans-serif" font-size="14">',
        "<style>text{fill:#24292f}.range{stroke:#24292f}"
        "@media (prefers-color-scheme: dark){text{fill:#e6edf3}.range{stroke:#e6edf3}}</style>",
        f'<text x="8" y="24" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, spread) in enumerate(values.items()):
        lines += _bar(name, spread, scale, _TOP + number * (_BAR + _GAP))
    return "\n".join([*lines, "</svg>", ""])


def _bar(name: str, spread: Spread, scale: float, top: int) -> list[str]:
    colour = "#1f6feb" if name.startswith("ours") else "#8c959f"
    middle = top + _BAR / 2
    start, end = _LEFT + spread.least * scale, _LEFT + spread.most * scale
    return [
        f'<text x="{_LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{spread.median * scale:.1f}" height="{_BAR}" fill="{colour}"/>',
        f'<line class="range" x1="{start:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}" stroke-width="2"/>',
        f'<text x="{end + 8:.1f}" y="{middle + 5}">{spread.median:,.0f}</text>',
    ]
