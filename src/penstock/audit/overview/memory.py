"""Remembers from one look to the next: since when a server is silent, how far the stream was, what waits."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock.audit.overview.facts import Counted, Held
from penstock.audit.overview.picture import PartitionPart
from penstock.kafka import Offsets


@dataclass(frozen=True)
class Passed:
    """How far the stream came, and how that is known (`KafkaPart.passed_from`).

    `position` is partition -> last offset that it passed, and None where nobody can tell.
    """

    position: Mapping[int, int] | None
    origin: str

    def start(self, partition: int, span: Offsets) -> int | None:
        """The offset that is waited for first."""
        if self.position is None:
            return None
        return max(span.first, self.position.get(partition, -1) + 1)


@dataclass
class OfPipeline:
    """The memory of one pipeline."""

    topic_id: str = ""
    position: Mapping[int, int] | None = None
    oldest: dict[int, tuple[int, datetime]] = field(default_factory=dict)
    """Partition -> offset, and the time of the first message from there on."""
    still: dict[int, tuple[int, datetime]] = field(default_factory=dict)
    """Partition -> offset that is waited for, and since when."""

    def passed(self, held: Held | None, counted: Counted | None, committed: Mapping[int, int]) -> Passed:
        """How far the stream came: by the counts, or while these cannot be asked by memory and by `committed`."""
        if held and held.topic_id != self.topic_id:
            self.topic_id, self.position = held.topic_id, None
            self.oldest.clear()
            self.still.clear()
        if counted:
            self.position = counted.positions.get(self.topic_id, {})
            return Passed(self.position, "counts")
        known = self.position or {}
        if self.position is None and not committed:
            return Passed(None, "")
        both = {part: max(known.get(part, -1), committed.get(part, -1)) for part in known.keys() | committed.keys()}
        return Passed(both, "memory" if self.position is not None else "checkpoint")

    def unread(self, held: Held, passed: Passed) -> dict[int, Offsets]:
        """The spans that wait and of whose first message the time is not known yet."""
        starts = {number: passed.start(number, span) for number, span in held.spans.items()}
        return {
            number: Offsets(start, held.spans[number].end)
            for number, start in starts.items()
            if start is not None and start < held.spans[number].end and self.oldest.get(number, (-1,))[0] != start
        }

    def remember_oldest(self, spans: Mapping[int, Offsets], times: Mapping[int, datetime]) -> None:
        """The times of the first messages of these spans."""
        self.oldest |= {number: (spans[number].first, at) for number, at in times.items()}

    def partitions(self, held: Held, passed: Passed, at: datetime, *, moves: bool) -> tuple[PartitionPart, ...]:
        """`moves`: the stream could move, for all servers that it needs answer."""
        return tuple(self._partition(number, span, passed, at, moves=moves) for number, span in held.spans.items())

    def _partition(self, number: int, span: Offsets, passed: Passed, at: datetime, *, moves: bool) -> PartitionPart:
        start = passed.start(number, span)
        waiting = None if start is None else max(0, span.end - start)
        offset, since = self.still.pop(number, (-1, at))
        if not waiting or offset != start:
            since = at
        if moves and start is not None:
            self.still[number] = (start, since)
        known, oldest = self.oldest.get(number, (-1, at))
        return PartitionPart(
            number=number,
            first=span.first,
            end=span.end,
            passed=None if passed.position is None else passed.position.get(number),
            waiting=waiting,
            oldest_at=oldest if waiting and known == start else None,
            still_since=since if waiting and since < at else None,
        )


class Silences:
    """Since when each server is silent."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def since(self, name: str, at: datetime, known: Collection[datetime], *, silent: bool) -> datetime | None:
        """`known` is since when the launcher knows of it, where it is earlier."""
        if not silent:
            self._since.pop(name, None)
            return None
        self._since[name] = min([self._since.get(name, at), *known])
        return self._since[name]
