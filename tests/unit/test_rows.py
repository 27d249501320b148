"""Rows as people read them: every type on one line, whatever is in it."""

from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID

from rich.text import Text

from penstock.views.rows import rows_table
from tests.quakes import QUAKES


def test_every_type_is_shown_on_one_line() -> None:
    row = {
        "station": "a\nb\u2028\x1b[31m",
        "day": datetime(2025, 3, 12, tzinfo=UTC).date(),
        "time": datetime(2025, 3, 12, tzinfo=UTC),
        "id": UUID(int=1),
        "size": Decimal("1.50"),
        "source": ip_address("::1"),
        "wave": b"\xff",
        "tags": {"y", "x"},
    }
    wide = QUAKES.model_copy()
    shown = {
        str(column.header): cell.plain
        for column in rows_table([row], wide).columns
        for cell in column.cells
        if isinstance(cell, Text)
    }
    expected = {
        "station": "a\\nb\\u2028\\x1b[31m",
        "day": "2025-03-12",
        "time": "2025-03-12 00:00:00+00:00",
        "id": str(UUID(int=1)),
        "size": "1.50",
        "source": "::1",
        "wave": "_w==",
        "tags": "['x', 'y']",
    }
    assert shown == {name: expected.get(name, "") for name in shown}
    assert "station" in shown
