"""How far a download is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from penstock.servers.jars.locked import Jar


@dataclass(frozen=True)
class Progress:
    """How many of the jars, and of their bytes, are in the cache, and how much came through the network just now."""

    files_done: int
    files_total: int
    bytes_done: int
    """Whole files plus what has arrived of the others."""
    bytes_total: int
    bytes_downloaded: int
    """What this call fetched; less than `bytes_done` where the cache held something already."""

    @classmethod
    def complete(cls, jars: Iterable[Jar]) -> Self:
        """Everything was there already."""
        sizes = [jar.size_bytes for jar in jars]
        return cls(len(sizes), len(sizes), sum(sizes), sum(sizes), 0)
