"""Rows of the table."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from penstock.pipelines.contract import Pipeline
from penstock.pipelines.types import told
from penstock.views.console import out

_WIDEST = 36
"""Characters of a value that a table of rows shows: a UUID fits."""
_GAP = 2


def _shown(value: Any) -> str:
    """On one line: what cannot be printed is escaped."""
    text = str(told(value))
    return text if text.isprintable() else "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def rows_table(rows: Sequence[Mapping[str, Any]], pipeline: Pipeline) -> Table:
    """Rows of the table as people read them: one line each, as many columns as the terminal has room for."""
    names = [column.name for column in pipeline.columns]
    texts = [["" if row.get(name) is None else _shown(row[name]) for name in names] for row in rows]
    widths = [min(_WIDEST, max(map(len, cells))) for cells in zip(names, *texts, strict=True)]
    room = out.width
    fitting = sum(1 for taken in accumulate(width + _GAP for width in widths) if taken <= room)
    left = names[fitting:]
    caption = f"not shown for want of room: {', '.join(left)}" if left else None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for name in names[:fitting]:
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=_WIDEST)
    for cells in texts:
        table.add_row(*map(Text, cells[:fitting]))
    return table
