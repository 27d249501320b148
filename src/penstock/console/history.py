"""The last 15 minutes and the last 24 hours, in a small store of their own that outlives the console.

Kept are sums and states, not rates, so a gap is a gap: a rate is taken between two points that were really seen.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from penstock.audit.overview import Overview, PipelinePart


class Span(NamedTuple):
    """A length of history, and the time between two of its points."""

    name: str
    seconds: int
    step_s: int


SHORT = Span("15 minutes", 900, 5)
LONG = Span("24 hours", 86_400, 120)
LARGEST_GAP = 6
"""Steps: points that lie further apart are not joined by a line."""


@dataclass(frozen=True)
class Point:
    """One pipeline at one moment. Sums only grow, until a topic is made again."""

    at_s: float
    published: int | None
    """The sum of the partitions' ends."""
    passed: int | None
    waiting: int | None
    oldest_s: float | None
    dead_lettered: int | None
    batch_s: float | None

    @classmethod
    def of(cls, part: PipelinePart, at_s: float) -> "Point":
        kafka = part.kafka
        known = kafka.answers and kafka.partitions
        passed = known and kafka.waiting is not None
        return cls(
            at_s,
            sum(each.end for each in kafka.partitions) if known else None,
            sum((each.end - (each.waiting or 0)) for each in kafka.partitions) if passed else None,
            kafka.waiting if known else None,
            (max(0.0, at_s - kafka.oldest_at.timestamp()) if kafka.oldest_at else 0.0) if passed else None,
            part.letters.dead_lettered,
            part.stream.batch_s,
        )


class Rate(NamedTuple):
    """Between two points; None where it is not known."""

    published: float | None
    passed: float | None
    dead_lettered: float | None


def rate(before: Point, after: Point) -> Rate:
    """Per second, never negative."""
    seconds = after.at_s - before.at_s

    def of(earlier: int | None, later: int | None) -> float | None:
        if earlier is None or later is None or seconds <= 0:
            return None
        return max(0.0, (later - earlier) / seconds)

    return Rate(
        of(before.published, after.published),
        of(before.passed, after.passed),
        of(before.dead_lettered, after.dead_lettered),
    )


class History:
    """One file of SQLite. For several threads; a context manager."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._lock = Lock()
        # What a crash may cost is the last minute of a chart.
        self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + _TABLE)

    def close(self) -> None:
        self._database.close()

    def add(self, overview: Overview) -> None:
        """Keeps this moment, in each span at most one for each step; forgets what is too old."""
        at_s = overview.at.timestamp()
        with self._lock:
            for part in overview.pipelines:
                point = Point.of(part, at_s)
                for span in (SHORT, LONG):
                    values = (part.name, span.step_s, int(at_s // span.step_s), *point.__dict__.values())
                    self._database.execute(_ADD, values)
            for span in (SHORT, LONG):
                self._database.execute(_FORGET, (span.step_s, at_s - span.seconds - span.step_s))

    def points(self, pipeline: str, span: Span, now_s: float) -> list[Point]:
        """The oldest first."""
        with (
            self._lock,
            closing(self._database.execute(_POINTS, (pipeline, span.step_s, now_s - span.seconds))) as rows,
        ):
            return [Point(*row) for row in rows]


def rates(points: list[Point], span: Span) -> Iterator[tuple[float, Rate]]:
    """The rate up to each point, from the one before; none over a gap."""
    for before, after in pairwise(points):
        if after.at_s - before.at_s <= span.step_s * LARGEST_GAP:
            yield after.at_s, rate(before, after)


def as_columns(points: list[Point], name: str) -> Mapping[float, float]:
    """Time -> value of one column, where it is known."""
    return {point.at_s: value for point in points if (value := getattr(point, name)) is not None}


_TABLE = """
CREATE TABLE IF NOT EXISTS point (
    pipeline TEXT, step_s INT, slot INT, at_s REAL, published INT, passed INT, waiting INT, oldest_s REAL,
    dead_lettered INT, batch_s REAL, PRIMARY KEY (pipeline, step_s, slot)
) WITHOUT ROWID;
"""
# The first point of a slot is kept, so that points lie a step apart.
_ADD = "INSERT OR IGNORE INTO point VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FORGET = "DELETE FROM point WHERE step_s = ? AND at_s < ?"
_POINTS = """
SELECT at_s, published, passed, waiting, oldest_s, dead_lettered, batch_s FROM point
WHERE pipeline = ? AND step_s = ? AND at_s >= ? ORDER BY slot
"""
