"""Where the items of one run are.

An *item* is what the API handed over: a record, or what was rejected. A retry of the run publishes its items again,
so messages are counted apart and the equation counts items: fetched = stored + dead-lettered + in flight.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """The account of one run: how many of its items are where."""

    run: str
    acknowledged: int
    """Items on the topic; those that ingest rejected are not among them."""
    stored: int
    """Items each of whose records, one or several where a retry fetched another, has a row with its values or newer
    ones."""
    dead_lettered: int
    """Items rejected, by ingest or by the stream."""
    in_flight: int
    """Items on the topic that are neither, or of which one record is not stored yet."""
    duplicates: int | None
    """Items on the topic that share their key, and so their row, with another item of the run; None: not looked at."""
    repeated: int
    """Messages beyond the first one of an item: a retry of the run published it again."""
    lost: int = 0
    """Those in flight that the stream has passed already: they will not arrive."""
    past_ttl: int = 0
    """Items that the stream has passed and that are not in the table, whose records are all older than the table's
    default_time_to_live: their rows expired, if they were ever stored. Not in flight."""

    @property
    def settled(self) -> int:
        """Items that arrived, or of which nobody can tell any more."""
        return self.stored + self.dead_lettered + self.past_ttl

    def balances(self, fetched: int) -> bool:
        """Whether every one of the `fetched` items arrived, and nothing else did."""
        return self.in_flight == 0 and fetched == self.settled

    def equation(self, fetched: int, distinct: int | None = None) -> str:
        """The account in one line; "≠" where it does not balance. `distinct` is named where it is another number."""
        expired = f" + past TTL {self.past_ttl}" if self.past_ttl else ""
        flying = f" + in flight {self.in_flight}" if self.in_flight else ""
        sign = "=" if fetched == self.settled + self.in_flight else "≠"
        came = f"fetched {fetched}" + (f", distinct {distinct}: {fetched}" if distinct not in (None, fetched) else "")
        return f"{came} {sign} stored {self.stored} + dead-lettered {self.dead_lettered}{expired}{flying}"
