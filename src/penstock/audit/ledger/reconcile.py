"""Does it balance? For one run or all, from the counts or from the data."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tenacity import (
    RetryCallState,
)

from penstock.audit.ledger.account import Account
from penstock.audit.ledger.data import Ledger
from penstock.audit.ledger.kept import Kept
from penstock.audit.ledger.proof import Prove, rest_of, with_stored
from penstock.cassandra import Counts, Property, RunCounts, Store, Tally, properties
from penstock.config import Settings
from penstock.errors import BrokerError, LedgerError, StoreError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import key_of, key_of_row
from penstock.pipelines.record import Rejected
from penstock.waiting import until

_PASSING = (BrokerError, StoreError)
"""Servers that restart while somebody waits are waited for."""
_STREAM = "Does the stream run (`penstock status`, `penstock logs stream`)? What is in Kafka is not lost."


@dataclass(frozen=True)
class Balance:
    """The account of one run beside what ingest said of it."""

    account: Account
    fetched: int | None
    """Items of the API's answers; None as long as no attempt of ingest reported, and for other producers' messages."""
    expired: int = 0
    """Items that ingest reported and whose messages Kafka has deleted since; only known deeply."""
    distinct: int | None = None
    """Different ones among the items fetched; None where nobody counted them."""
    warning: str = ""
    """What a person should know although it balances; only known deeply."""
    problem: str = ""
    """Why it does not balance; empty when it does, also while something is in flight."""

    @property
    def settled(self) -> bool:
        """Whether it is known how many there should be, and all have arrived."""
        return self.fetched is not None and self.account.in_flight == 0

    def equation(self) -> str:
        """The account in one line."""
        account = self.account
        if self.fetched is None:
            return f"{account.equation(account.settled + account.in_flight)} (not reported by ingest)"
        return account.equation(self.fetched, self.distinct)


def account(settings: Settings, pipeline: Pipeline, run_id: str) -> Account:
    """Where the items of the run are at this moment, from the data."""
    with _following(settings, pipeline, run_id) as (ledger, position):
        return ledger.refresh(position())


def wait_until_settled(
    settings: Settings,
    pipeline: Pipeline,
    run_id: str,
    timeout_s: float,
    on_progress: Callable[[Account], None] = lambda _: None,
) -> Account:
    """The account from the data, as soon as nothing is in flight; `on_progress` gets each one on the way.

    Raises:
        LedgerError: something is lost, or still in flight after `timeout_s`; names some of it.
    """
    with _following(settings, pipeline, run_id) as (ledger, position):

        def look() -> Account:
            seen = ledger.refresh(position())
            if seen.lost:
                raise LedgerError(f"run {run_id}: {_lost(seen, ledger.lost_examples(run_id))}")
            on_progress(seen)
            return seen

        def give_up(_: RetryCallState) -> Account:
            flying = ledger.in_flight_examples()
            raise LedgerError(
                f"run {run_id}: neither stored nor dead-lettered after {timeout_s:.0f} s: {flying}. {_STREAM}"
            )

        settled: Account = until(lambda seen: seen.in_flight == 0, timeout_s, give_up, _PASSING)(look)
        return settled


def wait_until_balanced(
    settings: Settings,
    pipeline: Pipeline,
    run_id: str,
    timeout_s: float,
    on_progress: Callable[[Account], None] = lambda _: None,
) -> Balance:
    """The balance from the counts, as soon as everything that ingest reported has arrived. Where the stream took more
    than that, the data decide: they know a copy of a message for what it is.

    Raises:
        LedgerError: it cannot balance, or does not after `timeout_s`.
    """

    def look() -> Balance:
        with kept.look() as counted:
            [balance] = counted.balances(run_id)
        if balance.account.in_flight < 0:
            [balance] = reconcile_deeply(settings, pipeline, run_id)
        if balance.problem:
            raise LedgerError(f"run {run_id} does not balance: {balance.problem}. {balance.equation()}")
        on_progress(balance.account)
        return balance

    def give_up(state: RetryCallState) -> Balance:
        # A server that was out of reach to the end raises its own error here.
        balance: Balance | None = state.outcome.result() if state.outcome else None
        said = balance.equation() if balance else "nothing was seen of it"
        raise LedgerError(f"run {run_id} does not balance after {timeout_s:.0f} s: {said}. {_STREAM}")

    with Kept(lambda: _counting(settings, pipeline)) as kept:
        balance: Balance = until(lambda seen: seen.settled, timeout_s, give_up, _PASSING)(look)
    return balance


def reconcile(settings: Settings, pipeline: Pipeline, run_id: str | None = None) -> list[Balance]:
    """Each run, or the named one, from the counts; the newest first.

    Raises:
        LedgerError: nothing is known of the named run.
    """
    with _counting(settings, pipeline) as counted:
        return counted.balances(run_id)


def reconcile_deeply(
    settings: Settings,
    pipeline: Pipeline,
    run_id: str | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    prove: Prove | None = None,
) -> list[Balance]:
    """The same from the data: every message of the topic is compared with its row, value by value, or its letter.

    Memory does not grow with the messages. `on_progress` gets messages read and messages there are. With `prove` only
    what that leaves is read here; the balances are the same.

    Raises:
        LedgerError: nothing is known of the named run.
    """
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store:
        counts = Counts(store, pipeline)
        counts.ensure()
        position = counts.position(broker.identity(pipeline.topic))
        known = {run.run: run for run in counts.runs(run_id)}
        spans, written = broker.offsets(pipeline.topic), broker.written(pipeline.topic)
        rest = rest_of(broker, pipeline, spans, on_progress, prove)
        with Ledger(pipeline, run_id, rest.topics, store, lambda done: on_progress(done, rest.total)) as ledger:
            accounts = with_stored(ledger.refresh_all(position), rest.stored, run_id)
            lost = {run: ledger.lost_examples(run) for run, account in accounts.items() if account.lost}
            changed = ledger.changed_elsewhere()
        on_progress(rest.total, rest.total)
    deletes = any(span.first for span in spans.values())
    unreadable = {number: range(spans[number].end, end) for number, end in written.items() if number in spans}
    # The newest first, as `Counts.runs` has them; of what is not known yet, nothing is newer.
    names = [*sorted(accounts.keys() - known.keys(), reverse=True), *known]
    nothing = {run: Account(run, 0, 0, 0, 0, 0, 0) for run in names}
    found = [
        balance_of_data(
            account,
            known.get(run),
            unreadable,
            deletes=deletes,
            lost=lost.get(run, ""),
            changed=changed.get(run, (0, "")),
        )
        for run, account in {**nothing, **accounts}.items()
    ]
    return _known(found, pipeline, run_id)


def properties_of_the_table(settings: Settings, pipeline: Pipeline) -> list[Property]:
    """What the table itself does to its rows; see `penstock.cassandra.properties`."""
    with Store(settings.cassandra) as store:
        return properties(store, pipeline, timedelta(hours=settings.kafka.retention_hours))


def newest(settings: Settings, pipeline: Pipeline, count: int) -> list[Mapping[str, Any]]:
    """Up to `count` rows of the table, those of the newest messages first; Cassandra itself keeps no such order."""
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store:
        # More than asked for: some may hold no record, and some the same one.
        read = [message.judged(pipeline) for message in broker.tail(pipeline.topic, 4 * count)]
        ids = list(dict.fromkeys(key_of(pipeline, record) for record in read if not isinstance(record, Rejected)))
        rows = {key_of_row(pipeline, row.values): row.values for row in store.rows(pipeline, ids)}
    return [rows[key] for key in ids if key in rows][:count]


def balance_of_counts(run: RunCounts, position: Mapping[int, int]) -> Balance:
    """The balance of a run from the counts. Expected are the messages of the newest attempt that reported; other
    attempts sent the same again."""
    attempt, report = next(reversed(run.reports.items()), (None, None))
    tallies = dict(run.tallies)
    took = _sum(tallies.values()) if attempt is None else tallies.pop(attempt, Tally())
    acknowledged = took.read if report is None else report.acknowledged
    rejected = took.rejected + (report.rejected if report else 0)
    resolved = min(run.resolved, rejected)
    in_flight = acknowledged - took.read
    passed = report and all(position.get(number, -1) >= last for number, last in report.last.items())
    account = Account(
        run.run,
        acknowledged=acknowledged,
        stored=took.read - took.rejected + resolved,
        dead_lettered=rejected - resolved,
        in_flight=in_flight,
        duplicates=None,
        repeated=0 if report is None else _sum(tallies.values()).read,
        lost=max(0, in_flight) if passed else 0,
    )
    problem = _lost(account)
    if in_flight < 0:
        problem = (
            f"the stream took {-in_flight} messages more than ingest published; "
            f"`penstock reconcile --run {run.run} --deep` tells whether they are copies"
        )
    distinct = report.distinct if report else None
    return Balance(account, report.fetched if report else None, distinct=distinct, problem=problem)


def balance_of_data(
    account: Account,
    run: RunCounts | None,
    unreadable: Mapping[int, range],
    *,
    deletes: bool,
    lost: str = "",
    changed: tuple[int, str] = (0, ""),
) -> Balance:
    """The balance of a run: its account from the data beside the report of ingest.

    `unreadable`, partition -> offsets, stands behind a transaction of another producer that is open: what is missing
    there is in flight. `deletes`: the topic is old enough to have lost its beginning. `lost` names some of the lost;
    `changed` is how many rows another program seems to have changed, and some of them.
    """
    warning = _changed(*changed, deletes=deletes)
    report = next(reversed(run.reports.values()), None) if run else None
    if report is None:
        return Balance(account, None, warning=warning, problem=_lost(account, lost))
    missing = report.fetched - account.settled - account.in_flight
    if missing > 0 and any(last in unreadable.get(number, ()) for number, last in report.last.items()):
        account = replace(account, acknowledged=account.acknowledged + missing, in_flight=account.in_flight + missing)
        missing = 0
    expired = missing if deletes and missing > 0 else 0
    problem = _lost(account, lost)
    if missing - expired > 0:
        problem = f"{missing} items that ingest published are neither in the topic nor in the dead letters"
    elif missing < 0:
        problem = f"there are {-missing} items more than ingest published"
    return Balance(account, report.fetched, expired, report.distinct, warning, problem)


def _lost(account: Account, examples: str = "") -> str:
    if not account.lost:
        return ""
    some = f", e.g. {examples}" if examples else ""
    return f"the stream has passed {account.lost} items that are neither stored nor dead-lettered{some}"


def _changed(rows: int, examples: str, *, deletes: bool) -> str:
    if not rows:
        return ""
    who = (
        "another program wrote them, or a message that Kafka has deleted since"
        if deletes
        else "another program wrote them"
    )
    return f"{rows} rows have values that are newer than every message of their key, e.g. {examples}: {who}"


def _sum(tallies: Any) -> Tally:
    each = list(tallies)
    return Tally(sum(tally.read for tally in each), sum(tally.rejected for tally in each))


def _known(found: list[Balance], pipeline: Pipeline, run_id: str | None) -> list[Balance]:
    if run_id is not None and not found:
        raise LedgerError(
            f"nothing is known of run {run_id!r} of pipeline {pipeline.name}: no attempt of it was reported, and the "
            "stream took no message of it. `penstock reconcile` lists the runs; the name is Airflow's, e.g. "
            "manual__2025-03-12T14:30:00+00:00."
        )
    return found


@dataclass(frozen=True)
class _Counted:
    """The open connections with which balances are read from the counts."""

    pipeline: Pipeline
    broker: Broker
    counts: Counts

    def balances(self, run_id: str | None) -> list[Balance]:
        # In this order: what the stream had passed is among what it had counted.
        position = self.counts.position(self.broker.identity(self.pipeline.topic))
        found = [balance_of_counts(run, position) for run in self.counts.runs(run_id)]
        return _known(found, self.pipeline, run_id)


@contextmanager
def _counting(settings: Settings, pipeline: Pipeline) -> Iterator[_Counted]:
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store:
        counts = Counts(store, pipeline)
        counts.ensure()
        yield _Counted(pipeline, broker, counts)


@contextmanager
def _following(
    settings: Settings, pipeline: Pipeline, run_id: str
) -> Iterator[tuple[Ledger, Callable[[], Mapping[int, int]]]]:
    """A ledger that follows the run in the data, and a function that asks for the stream's position."""
    with (
        Broker(settings.kafka) as broker,
        Store(settings.cassandra) as store,
        Ledger(pipeline, run_id, broker, store) as ledger,
    ):
        counts = Counts(store, pipeline)
        counts.ensure()
        yield ledger, lambda: counts.position(broker.identity(pipeline.topic))
