"""What was published against what is there: rows cell by cell with their write times, dead letters byte by byte."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from penstock import ledger
from penstock.broker import Broker
from penstock.config import Settings
from penstock.contract import Pipeline
from penstock.record import Header, Rejected, from_bytes
from penstock.store import Row as StoredRow
from penstock.store import Store
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


def check_account(settings: Settings, pipeline: Pipeline, run_id: str, published: int, findings: Findings) -> None:
    """The account that Penstock itself takes from the data."""
    account = ledger.account(settings, pipeline, run_id)
    if not account.balances(published):
        findings.add("account", account.equation(published))


def check_counts(settings: Settings, pipeline: Pipeline, run_id: str, expected: Expected, findings: Findings) -> None:
    """What the stream counted as it went: each message once, however often its micro-batch was done."""
    [balance] = ledger.reconcile(settings, pipeline, run_id)
    counted = (balance.account.stored, balance.account.dead_lettered, balance.account.in_flight)
    if balance.problem or counted != (expected.messages - len(expected.letters), len(expected.letters), 0):
        findings.add("counts", f"{balance.equation()} {balance.problem}")


def check_rows(store: Store, pipeline: Pipeline, expected: Expected, findings: Findings) -> None:
    """Every cell has the newest published value, written at its message's time; no other cell is set."""
    missing = set(expected.cells)
    for row in store.rows(pipeline, expected.cells):
        key = row.values[pipeline.key]
        missing.discard(key)
        for column in _differing(pipeline, expected, key, row):
            findings.add("rows", f"{column} of {key}")
    findings.lost += len(missing)
    for key in missing:
        findings.add("rows", f"no row {key}")


def _differing(pipeline: Pipeline, expected: Expected, key: UUID, row: StoredRow) -> Iterator[str]:
    cells = expected.cells[key]
    for column in pipeline.columns:
        if column.name != pipeline.key:
            found = (row.written_us.get(column.name, -1), row.values[column.name])
            if found != cells.get(column.name, (-1, None)):
                yield column.name


def check_letters(broker: Broker, pipeline: Pipeline, run_id: str, expected: Expected, findings: Findings) -> None:
    """One letter for each hostile message, with its bytes and its reason, and no other letter of the run.

    A letter that stands there twice under one key is one letter, for every reader.
    """
    letters: dict[bytes | None, tuple[bytes, str]] = {}
    for letter in broker.read(pipeline.dead_letter_topic):
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


def check_nothing_else(store: Store, broker: Broker, pipeline: Pipeline, run: str, n: int, findings: Findings) -> None:
    """The topic has the run's messages once, and the table no row whose key is not in the topic."""
    keys: set[str] = set()
    messages = 0
    for message in broker.read(pipeline.topic):
        messages += message.headers.get(Header.RUN) == run
        record = from_bytes(pipeline, message.value)
        if not isinstance(record, Rejected):
            keys.add(str(getattr(record, pipeline.key)))
    rows = store.count(pipeline)
    if rows > len(keys):
        findings.duplicated += rows - len(keys)
        findings.add("nothing else", f"{rows} rows for {len(keys)} keys")
    if messages > n:
        findings.duplicated += messages - n
    if messages != n:
        findings.add("topic", f"{messages} messages of {n} that were acknowledged")


def check(settings: Settings, pipeline: Pipeline, run_id: str, expected: Expected) -> Findings:
    """All checks."""
    findings = Findings()
    check_account(settings, pipeline, run_id, expected.messages, findings)
    check_counts(settings, pipeline, run_id, expected, findings)
    with Store(settings.cassandra) as store, Broker(settings.kafka) as broker:
        check_rows(store, pipeline, expected, findings)
        check_letters(broker, pipeline, run_id, expected, findings)
        check_nothing_else(store, broker, pipeline, run_id, expected.messages, findings)
    return findings
