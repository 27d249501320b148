"""Whether the rows that are there are the rows that were sent: a sum over all rows, in any order, in bounded memory."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

_MODULUS = 2**64


@dataclass(frozen=True)
class Digest:
    """How many rows, and the sums of their hashes. A row that stands twice changes it, the order of rows does not."""

    rows: int = 0
    whole: int = 0
    """Over all columns, the key being the first."""
    values: int = 0
    """Over the columns but for the key."""

    def and_row(self, row: Sequence[object], times: int = 1) -> Self:
        return type(self)(
            self.rows + times,
            (self.whole + times * _hash(row)) % _MODULUS,
            (self.values + times * _hash(row[1:])) % _MODULUS,
        )

    def difference(self, found: Self, *, keys: bool = True) -> str:
        """What is wrong with `found`, empty if nothing is; without `keys` these may be others."""
        if found.rows != self.rows:
            return f"{self.rows - found.rows} of {self.rows} rows are not there"
        if found.values != self.values or (keys and found.whole != self.whole):
            return "some rows have other values"
        return ""

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text("utf-8")))


def digest(rows: Iterable[Sequence[object]]) -> Digest:
    """Of all rows; an absent value is None."""
    found = Digest()
    for row in rows:
        found = found.and_row(row)
    return found


def token_ranges(parts: int) -> Iterator[tuple[int, int]]:
    """The whole ring of Murmur3's tokens in `parts`, first and last token of each."""
    first, last = -(2**63), 2**63 - 1
    width = (last - first + 1) // parts
    for number in range(parts):
        start = first + number * width
        yield start, last if number == parts - 1 else start + width - 1


def _hash(row: Sequence[object]) -> int:
    text = "\x1f".join("\x1e" if value is None else str(value) for value in row)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
