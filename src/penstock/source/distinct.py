"""How many different things there were, in memory that does not grow with them."""

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Self


class Distinct:
    """Counts the different ones of any number of hashes of 64 bits. A context manager; for one thread at a time.

    SQLite's nameless database lives in memory until its cache of 2 MB is full, and goes on in a temporary file:
    https://www.sqlite.org/inmemorydb.html (Temporary Databases).
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (hash INTEGER PRIMARY KEY)")
        self._database.execute("BEGIN")
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def new_in(self, hashes: Iterable[int]) -> int:
        """How many different ones of them were not added yet."""
        known = "SELECT 1 FROM seen WHERE hash = ?"
        return sum(self._database.execute(known, (number,)).fetchone() is None for number in set(hashes))

    def add(self, hashes: Iterable[int]) -> None:
        """Each a signed number of 64 bits, such as Python's `hash` of bytes."""
        before = self._database.total_changes
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?)", ((number,) for number in hashes))
        self.count += self._database.total_changes - before
