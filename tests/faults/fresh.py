"""The checks of one trial on a stack that has served others: only what is new is read.

That is the trial's own keys, and of the topics what was written since it began. What the stream counts it counts at the
end of an epoch, so the counts of a trial are looked at when its epoch is over, in one of the next trials or at the end.
The deep account of everything comes once, at the end of a series.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.audit import ledger
from penstock.cassandra import Counts, Store
from penstock.config import Settings
from penstock.ingest import Run
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header
from tests.faults.check import Findings, Sums, check_counts, check_letters, check_rows
from tests.faults.load import Expected
from tests.waiting import until

Offsets = Mapping[int, int]
"""Partition -> offset."""


@dataclass(frozen=True)
class Published:
    """A run that was published, and where the topic ended then."""

    run: str
    sums: Sums
    ends: Offsets


@dataclass
class Series:
    """What was published since the stack was started."""

    pipeline: Pipeline
    runs: list[Published] = field(default_factory=list)
    rows: int = 0
    tasks: list[str] = field(default_factory=list)
    """Runs of the DAG, of the other pipeline."""
    uncounted: list[Published] = field(default_factory=list)
    """Runs whose counts were not looked at yet."""

    def add(self, run: Run, expected: Expected, ends: Offsets) -> None:
        one = Published(run.id, Sums.of(expected), ends)
        self.runs.append(one)
        self.uncounted.append(one)
        self.rows += sum(bool(cells) for cells in expected.cells.values())


def ends(broker: Broker, topic: str) -> Offsets:
    return {number: span.end for number, span in broker.offsets(topic).items()}


def passed(broker: Broker, counts: Counts, topic: str, to: Offsets) -> bool:
    """Whether the stream has counted up to there: then all rows and letters before it are written."""
    position = counts.position(broker.identity(topic))
    return all(position.get(number, -1) + 1 >= end for number, end in to.items())


def check_new(settings: Settings, run: Run, expected: Expected, begin: Mapping[str, Offsets]) -> Findings:
    """Rows, letters and messages of this run; `begin` is topic -> where it ended before the run.

    What is not there yet is waited for until the stream has passed it.
    """
    pipeline = run.pipeline
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store:
        to, counts = ends(broker, pipeline.topic), Counts(store, pipeline)

        def look() -> Findings | None:
            final, findings = passed(broker, counts, pipeline.topic, to), Findings()
            check_rows(store, pipeline, expected, findings)
            check_letters(broker, pipeline, run.id, expected, findings, begin[pipeline.dead_letter_topic])
            return findings if final or not findings.wrong else None

        findings = until(look, f"the stream does not pass what {run.id} published", every_s=0.3)
        assert findings is not None
        _check_messages(broker, run, expected, begin[pipeline.topic], findings)
        return findings


def _check_messages(broker: Broker, run: Run, expected: Expected, begin: Offsets, findings: Findings) -> None:
    """Since then the topic has got the run's messages, each once, and nothing else."""
    found = [message.headers.get(Header.RUN) for message in broker.read(run.pipeline.topic, start=begin)]
    others = sum(name != run.id for name in found)
    own = len(found) - others
    findings.duplicated += max(0, own - expected.messages) + others
    findings.lost += max(0, expected.messages - own)
    if own != expected.messages or others:
        findings.add("topic", f"{own} messages of {expected.messages} that were acknowledged, and {others} of others")


def check_counted(settings: Settings, series: Series, findings: Findings, *, to_the_end: bool = False) -> None:
    """The counts of the runs whose epoch is over, each run once; at the end those of all."""
    pipeline = series.pipeline
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store:
        counts = Counts(store, pipeline)
        if to_the_end:
            now = ends(broker, pipeline.topic)
            until(lambda: passed(broker, counts, pipeline.topic, now), f"the stream does not count {pipeline.topic}")
        over = [one for one in series.uncounted if passed(broker, counts, pipeline.topic, one.ends)]
    for one in over:
        series.uncounted.remove(one)
        check_counts(settings, pipeline, one.run, one.sums, findings)


def check_deeply(settings: Settings, series: Series, pipeline: Pipeline, findings: Findings) -> None:
    """The deep account of every run of the series and of the DAG's runs of the other pipeline, and no row beside."""
    check_counted(settings, series, findings, to_the_end=True)
    deep = {one.account.run: one for one in ledger.reconcile_deeply(settings, series.pipeline)}
    for one in series.runs:
        balance = deep.pop(one.run)
        if balance.problem or not balance.account.balances(one.sums.messages):
            findings.lost += balance.account.lost
            findings.add("account", f"{one.run}: {balance.equation()} {balance.problem}")
    for name in deep:
        findings.add("account", f"a run {name} that nobody published")
    with Store(settings.cassandra) as store:
        rows = store.count(series.pipeline)
    if rows != series.rows:
        findings.add("nothing else", f"{rows} rows where {series.rows} belong")
    for other in ledger.reconcile_deeply(settings, pipeline) if series.tasks else ():
        if other.account.run in series.tasks and (other.problem or not other.settled):
            findings.add("account", f"{other.account.run}: {other.equation()} {other.problem}")
