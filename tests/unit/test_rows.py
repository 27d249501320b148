"""Rows as people read them: every type on one line, whatever is in it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID

import pytest
from rich.console import Console
from rich.text import Text

from penstock.views import rows
from penstock.views.rows import rows_table
from tests.quakes import QUAKES

TIME = datetime(2025, 3, 12, tzinfo=UTC)


def test_every_type_is_shown_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "out", Console(width=1_000))  # room for every column
    values = {
        "station": ("a\nb\u2028\x1b[31m", "a\\nb\\u2028\\x1b[31m"),
        "day": (date(2025, 3, 12), "2025-03-12"),
        "time": (TIME, "2025-03-12 00:00:00+00:00"),
        "id": (UUID(int=1), str(UUID(int=1))),
        "size": (Decimal("1.50"), "1.50"),
        "felt": (7, "7"),
        "reports": (-(2**63), str(-(2**63))),
        "depth": (0.1, "0.1"),
        "final": (True, "True"),
        "source": (ip_address("::1"), "::1"),
        "wave": (b"\xff", "_w=="),
        "steps": (["y\n", "x"], "['y\\n', 'x']"),
        "tags": ({"y", "x"}, "['x', 'y']"),
        "labels": ({"a": "b"}, "{'a': 'b'}"),
        "shape": ('{"a": [1]}', '{"a": [1]}'),
        "gone": (None, ""),
    }
    table = rows_table([{name: value for name, (value, _) in values.items()}], QUAKES)
    cells = {
        str(column.header): cell.plain for column in table.columns for cell in column.cells if isinstance(cell, Text)
    }
    assert cells == {name: shown for name, (_, shown) in values.items()}
    assert cells.keys() == {column.name for column in QUAKES.columns}
