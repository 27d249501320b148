"""How many different things there were, in memory that does not grow with them."""

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Self

_MOST_IN_MEMORY = 100_000
"""Hashes, of about 80 bytes each in a set. Stored in their order and so many at a time, each costs half of its time."""


class Distinct:
    """Counts the different ones of any number of hashes of 64 bits. A context manager; for one thread at a time.

    The first ones are in a set. More go to SQLite's nameless database, which is in memory until its cache of 2 MB is
    full, and then in a temporary file: https://www.sqlite.org/inmemorydb.html (Temporary Databases).
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._stored = 0
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (hash INTEGER PRIMARY KEY)")
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def add(self, hashes: Iterable[int]) -> None:
        """Each a signed number of 64 bits, such as Python's `hash` of bytes."""
        self._recent.update(hashes)
        if len(self._recent) >= _MOST_IN_MEMORY:
            self._store()

    def count(self) -> int:
        """How many different ones were added."""
        if self._stored:
            self._store()
        return self._stored + len(self._recent)

    def new_in(self, hashes: Iterable[int]) -> int:
        """The number of different hashes among these that were not added before."""
        unknown = set(hashes) - self._recent
        if not self._stored:
            return len(unknown)
        known = "SELECT 1 FROM seen WHERE hash = ?"
        return sum(self._database.execute(known, (number,)).fetchone() is None for number in unknown)

    def _store(self) -> None:
        before = self._database.total_changes
        rows = ((number,) for number in sorted(self._recent))
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?)", rows)
        self._stored += self._database.total_changes - before
        self._recent.clear()
