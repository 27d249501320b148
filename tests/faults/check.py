"""What was published against what is there: rows cell by cell with their write times, dead letters byte by byte."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from penstock.audit import ledger
from penstock.audit.ledger import Account
from penstock.cassandra import Row as StoredRow
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.kafka import Broker, Received
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import key_of, key_of_row, key_text
from penstock.pipelines.record import Header, Rejected, from_bytes
from tests.faults.load import Expected

_EXAMPLES = 3


@dataclass
class Findings:
    """What is wrong: nothing, if the promise held. Each check puts its words under its own name."""

    lost: int = 0
    duplicated: int = 0
    wrong: dict[str, list[str]] = field(default_factory=dict)

    @property
    def caught_by(self) -> list[str]:
        return sorted(self.wrong)

    def add(self, check: str, words: str) -> None:
        self.wrong.setdefault(check, []).append(words)

    def __str__(self) -> str:
        return "; ".join(
            f"{check}: {', '.join(words[:_EXAMPLES])}" + (f" and {len(words) - _EXAMPLES} more" * (len(words) > 3))
            for check, words in self.wrong.items()
        )


@dataclass(frozen=True)
class Sums:
    """What the account of a run must come to."""

    messages: int
    letters: int

    @classmethod
    def of(cls, expected: Expected) -> Self:
        return cls(expected.messages, len(expected.letters))


class Topic:
    """What stands in the topic; each look reads only what is new since the last one."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.messages: Counter[str] = Counter()
        """Of each run."""
        self.keys: set[str] = set()
        """Of all records."""
        self.written_us: dict[str, dict[str, int]] = {}
        """Run -> key -> the newest write time; put a run in before its first message to have it followed."""
        self.pipeline = pipeline
        self._read_to: dict[int, int] = {}

    def look(self, broker: Broker) -> None:
        name = self.pipeline.topic
        end = {number: span.end for number, span in broker.offsets(name).items()}
        for message in broker.read(name, start=self._read_to, end=end):
            self._enter(message)
        self._read_to = end

    def _enter(self, message: Received) -> None:
        run = message.headers.get(Header.RUN, "")
        self.messages[run] += 1
        record = from_bytes(self.pipeline, message.value)
        if isinstance(record, Rejected):
            return
        key, at_us = key_text(key_of(self.pipeline, record)), message.timestamp_ms * 1_000
        self.keys.add(key)
        if run in self.written_us:
            followed = self.written_us[run]
            followed[key] = max(at_us, followed.get(key, 0))


def check_account(account: Account, published: int, findings: Findings) -> None:
    """The account that Penstock itself takes from the data."""
    if not account.balances(published):
        findings.add("account", account.equation(published))


def check_counts(settings: Settings, pipeline: Pipeline, run_id: str, sums: Sums, findings: Findings) -> None:
    """What the stream counted as it went: each message once, however often its micro-batch was done."""
    [balance] = ledger.reconcile(settings, pipeline, run_id)
    counted = (balance.account.stored, balance.account.dead_lettered, balance.account.in_flight)
    if balance.problem or counted != (sums.messages - sums.letters, sums.letters, 0):
        findings.add("counts", f"{balance.equation()} {balance.problem}")


def check_rows(store: Store, pipeline: Pipeline, expected: Expected, findings: Findings) -> None:
    """Every cell has the newest published value, written at its message's time; what is absent in it is not set, and a
    row that was deleted is not there.
    """
    missing = {key for key, cells in expected.cells.items() if cells}
    for row in store.rows(pipeline, expected.cells):
        key = key_of_row(pipeline, row.values)
        missing.discard(key)
        if not expected.cells[key]:
            findings.duplicated += 1
            findings.add("rows", f"the row {key}, which was deleted")
            continue
        for column in _differing(pipeline, expected, key, row):
            findings.add("rows", f"{column} of {key}")
    findings.lost += len(missing)
    for key in missing:
        findings.add("rows", f"no row {key}")


def _differing(pipeline: Pipeline, expected: Expected, key: Any, row: StoredRow) -> Iterator[str]:
    cells = expected.cells[key]
    for column in pipeline.cells:
        written_us, value = cells.get(column.name, (-1, None))
        wanted = (-1, None) if value is None else (written_us, value)
        if (row.written_us.get(column.name, -1), row.values[column.name]) != wanted:
            yield column.name


def check_letters(
    broker: Broker,
    pipeline: Pipeline,
    run_id: str,
    expected: Expected,
    findings: Findings,
    start: Mapping[int, int] | None = None,
) -> None:
    """One letter for each hostile message, with its bytes and its reason, and no other letter of the run.

    A letter that stands there twice under one key is one letter, for every reader. With `start`, partition -> offset,
    what stands before is not read.
    """
    letters: dict[bytes | None, tuple[bytes, str]] = {}
    for letter in broker.read(pipeline.dead_letter_topic, start=start):
        if letter.headers.get(Header.RUN) == run_id and Header.RESOLVED not in letter.headers:
            letters[letter.key] = (letter.value or b"", letter.headers[Header.REASON])
    found = Counter(letters.values())
    wanted = Counter((value, reason.value) for value, reason in expected.letters.items())
    findings.lost += (wanted - found).total()
    findings.duplicated += (found - wanted).total()
    for value, reason in wanted - found:
        findings.add("letters", f"no letter {reason} with {value[:20]!r}")
    for value, reason in found - wanted:
        findings.add("letters", f"a letter {reason} with {value[:20]!r} that nobody sent")


def check_nothing_else(rows: int, topic: Topic, run: str, n: int, findings: Findings) -> None:
    """The topic has the run's messages once, and the table no row whose key is not in the topic."""
    if rows > len(topic.keys):
        findings.duplicated += rows - len(topic.keys)
        findings.add("nothing else", f"{rows} rows for {len(topic.keys)} keys")
    messages = topic.messages[run]
    if messages > n:
        findings.duplicated += messages - n
    if messages != n:
        findings.add("topic", f"{messages} messages of {n} that were acknowledged")


def check(settings: Settings, topic: Topic, account: Account, expected: Expected) -> Findings:
    """All checks of the account's run."""
    findings, pipeline, run_id = Findings(), topic.pipeline, account.run
    check_account(account, expected.messages, findings)
    check_counts(settings, pipeline, run_id, Sums.of(expected), findings)
    with Store(settings.cassandra) as store, Broker(settings.kafka) as broker:
        check_rows(store, pipeline, expected, findings)
        check_letters(broker, pipeline, run_id, expected, findings)
        rows = store.count(pipeline)
        topic.look(broker)
        check_nothing_else(rows, topic, run_id, expected.messages, findings)
    return findings
