"""The pipelines of `examples/`, their simulators, and the dates that their tests ask for."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.source import Interval

ROOT = Path(__file__).parents[1]
EARTHQUAKES, ISSUES = "earthquakes:EARTHQUAKES", "issues:ISSUES"
TOKEN = "of-the-simulator"
MARCH, LATER = datetime(2025, 3, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
"""A month that is over, and a date when nothing of it is revised any more."""


def of_days(start: datetime, days: int) -> Interval:
    return Interval(start, start, start + timedelta(days=days))


def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declarations of the examples are found by their names, here and in processes that are started."""
    folders = [str(ROOT / "examples" / name) for name in ("earthquakes", "issues")]
    for folder in folders:
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")]))
