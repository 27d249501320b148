"""A deep account whose bulk somebody else has proved: what is proved is added, all the rest is judged as ever."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from penstock.audit.ledger.account import Account
from penstock.kafka import Offsets, Received, Topics
from penstock.pipelines.contract import Pipeline

_GAP = 2_000
"""Messages that are read and left out rather than asking for what stands behind them by itself."""
_AT_ONCE = 100_000
"""Messages that are asked for at a time."""

Spans = Mapping[str, Mapping[int, Offsets]]
"""Topic -> partition -> what is accounted for."""


class Stored(Protocol):
    """The proved part of a run. No message that is left shares an item or a key with it."""

    @property
    def messages(self) -> int: ...

    @property
    def items(self) -> int: ...

    @property
    def keys(self) -> int: ...


class Proof(Protocol):
    """Run -> what of it is stored beyond doubt, and partition -> offsets of all other messages, in their order."""

    @property
    def stored(self) -> Mapping[str, Stored]: ...

    @property
    def left(self) -> Mapping[int, Sequence[int]]: ...


Prove = Callable[[Spans, Callable[[int, int], None]], Proof]
"""Proves what stands in these spans of the topic and of its dead letters; tells messages judged and messages there are.
"""


@dataclass(frozen=True)
class Left:
    """The topics without what is proved, in place of a broker: as they were when the proof began.

    Whoever reads on without an `end` also gets what came since.
    """

    topics: Topics
    spans: Spans
    topic: str
    proof: Proof

    def offsets(self, topic: str) -> dict[int, Offsets]:
        return dict(self.spans[topic])

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]:
        if topic != self.topic:
            yield from self.topics.read(topic, start=start, end=end)
            return
        for partition, offsets in self.proof.left.items():
            first = bisect_left(offsets, (start or {}).get(partition, 0))
            last = len(offsets) if end is None else bisect_left(offsets, end.get(partition, 0))
            for few in _near(offsets[first:last]):
                yield from self._those(partition, few)
        if end is None:
            since = {number: max(span.end, (start or {}).get(number, 0)) for number, span in self.spans[topic].items()}
            yield from self.topics.read(topic, start=since)

    def _those(self, partition: int, offsets: Sequence[int]) -> Iterator[Received]:
        wanted = set(offsets)
        span = {"start": {partition: offsets[0]}, "end": {partition: offsets[-1] + 1}}
        for message in self.topics.read(self.topic, **span):
            if message.offset in wanted:
                yield message


class Rest(NamedTuple):
    """The messages that are left to the ledger, their number, and the proved part of each run."""

    topics: Topics
    total: int
    stored: Mapping[str, Stored]


def rest_of(
    topics: Topics,
    pipeline: Pipeline,
    spans: Mapping[int, Offsets],
    on_progress: Callable[[int, int], None],
    prove: Prove | None,
) -> Rest:
    """The rest of these spans of the topic; the whole of them where nobody proves anything."""
    if prove is None:
        return Rest(topics, sum(span.end - span.first for span in spans.values()), {})
    whole = {pipeline.topic: spans, pipeline.dead_letter_topic: topics.offsets(pipeline.dead_letter_topic)}
    proof = prove(whole, on_progress)
    return Rest(Left(topics, whole, pipeline.topic, proof), sum(map(len, proof.left.values())), proof.stored)


def with_stored(
    accounts: Mapping[str, Account], stored: Mapping[str, Stored], run_id: str | None = None
) -> dict[str, Account]:
    """The accounts of what was left, and of what was proved, in one; of one run, or of all."""
    nothing = Account("", 0, 0, 0, 0, 0, 0)
    wanted = {run: each for run, each in stored.items() if run_id in (None, run)}
    return {**accounts, **{run: _sum(run, accounts.get(run, nothing), each) for run, each in wanted.items()}}


def _sum(run: str, left: Account, proved: Stored) -> Account:
    return Account(
        run,
        acknowledged=left.acknowledged + proved.items,
        stored=left.stored + proved.items,
        dead_lettered=left.dead_lettered,
        in_flight=left.in_flight,
        duplicates=(left.duplicates or 0) + proved.items - proved.keys,
        repeated=left.repeated + proved.messages - proved.items,
        lost=left.lost,
        past_ttl=left.past_ttl,
    )


def _near(offsets: Sequence[int]) -> Iterator[Sequence[int]]:
    """Parts of the offsets, which stand in their order, between which nothing has to be read."""
    first = 0
    for place in range(1, len(offsets) + 1):
        if place == len(offsets) or offsets[place] - offsets[place - 1] > _GAP or place - first == _AT_ONCE:
            yield offsets[first:place]
            first = place
