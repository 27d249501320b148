"""The picture of a moment, as data: what each part of a pipeline does, in the order in which records pass it.

Frozen, and the same for terminal, JSON, page and metrics. Names and units are part of the JSON; what nobody could be
asked for is None.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, computed_field

from penstock.launcher.state import ServiceState

STILL = timedelta(minutes=3)
"""How long records may wait in a partition in which the stream does not move before that is called a standstill.

Longer than a micro-batch of 500,000 records takes at 7,000 rows/s, the slowest drain that was measured.
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Standing(StrEnum):
    """Whether a server answers."""

    ANSWERS = "answers"
    SILENT = "silent"
    """It was asked and gave no answer that could be used."""
    ABSENT = "absent"
    """One of the local stack that was not started, or was stopped on purpose."""
    UNKNOWN = "unknown"
    """It cannot be asked from here: a stream that runs elsewhere, and shows its page to others only."""


class State(StrEnum):
    """A pipeline in one word."""

    IDLE = "idle"
    """Nothing is on its way, and nothing is wrong."""
    FLOWING = "flowing"
    WARNING = "warning"
    """It works, and a person should know something."""
    BROKEN = "broken"
    """It does not carry records, or records are missing."""
    ABSENT = "absent"
    """Nothing of it was started."""


class Server(_Frozen):
    """Base of the parts that are servers."""

    standing: Standing
    since: AwareDatetime | None = None
    """Since when it is silent, as far as somebody has looked."""
    phase: str = ""
    """What the launcher says of it, where it is one of the local stack."""
    problem: str = ""
    """Why it gave no answer."""

    @property
    def answers(self) -> bool:
        return self.standing is Standing.ANSWERS

    @property
    def is_ill(self) -> bool:
        return self.standing in (Standing.SILENT, Standing.ABSENT)


class SourcePart(_Frozen):
    """The API. It is not asked: that would cost its rate, and tell nothing that the runs do not."""

    url: str
    fetched_at: AwareDatetime | None = None
    """When ingest last reported that it had fetched all that was asked for."""


class DagRunPart(_Frozen):
    """A run of the DAG, as Airflow has it."""

    run: str
    state: str
    logical_date: AwareDatetime | None
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None


class AirflowPart(Server):
    """The schedule."""

    dag: str
    paused: bool | None = None
    """None: unknown, also because Airflow does not know the DAG."""
    next_run_at: AwareDatetime | None = None
    newest: DagRunPart | None = None
    unhealthy: tuple[str, ...] = ()
    """Parts of Airflow that it calls unhealthy itself."""


class PartitionPart(_Frozen):
    """One partition of the topic."""

    number: int
    first: int
    """The offset at which it begins; what was before has expired."""
    end: int
    """The offset of the next message."""
    passed: int | None
    """The last offset that the stream passed; None: it passed none, or that is not known."""
    waiting: int | None
    """Offsets between the two. Each is a message, unless producers used transactions."""
    oldest_at: AwareDatetime | None = None
    """The time of the first message that waits, read from Kafka itself."""
    still_since: AwareDatetime | None = None
    """Since when something waits here and the stream has not moved, as far as somebody has looked."""

    def stands_still(self, at: datetime) -> bool:
        """Whether the stream should have moved since then."""
        return self.still_since is not None and at - self.still_since >= STILL


class KafkaPart(Server):
    """The topic, and what of it the stream has not passed."""

    topic: str
    partitions: tuple[PartitionPart, ...] = ()
    """Empty where there is no topic yet, or Kafka does not answer."""
    passed_from: str = ""
    """Where it is known from how far the stream came: `counts`, `memory` of an earlier look, or its `checkpoint`."""

    @computed_field  # type: ignore[prop-decorator]  # https://github.com/python/mypy/issues/14461
    @property
    def waiting(self) -> int | None:
        known = [partition.waiting for partition in self.partitions if partition.waiting is not None]
        return sum(known) if len(known) == len(self.partitions) and self.answers else None

    @computed_field  # type: ignore[prop-decorator]  # https://github.com/python/mypy/issues/14461
    @property
    def oldest_at(self) -> AwareDatetime | None:
        return min((part.oldest_at for part in self.partitions if part.oldest_at), default=None)

    @computed_field  # type: ignore[prop-decorator]  # https://github.com/python/mypy/issues/14461
    @property
    def deleted_unread(self) -> int:
        """Offsets that Kafka has deleted before the stream passed them."""
        return sum(max(0, part.first - part.passed - 1) for part in self.partitions if part.passed is not None)


class StreamPart(Server):
    """The query of Spark."""

    failure: str = ""
    """Why no query of the pipeline runs, as the stream itself says it while it carries others."""
    batch: int | None = None
    """The micro-batch that was counted last."""
    batch_at: AwareDatetime | None = None
    batch_s: float | None = None
    """How long Spark's last micro-batch took."""
    rows_per_s: float | None = None
    """How many rows a second Spark says that it processed in it."""


class CassandraPart(Server):
    """The table."""

    table: str
    stored: int | None = None
    """Items of the runs below that are rows, by the counts."""


class LettersPart(_Frozen):
    """The dead letters."""

    topic: str
    dead_lettered: int | None = None
    """Items of the runs below that are dead letters, by the counts."""
    by_reason: dict[str, int] = {}
    """Open letters by their reason, among the newest ones."""
    newest: int = 0
    """How many of the newest messages of the dead letters that counts."""


class RunPart(_Frozen):
    """One run and its equation."""

    run: str
    state: str
    """`arriving`, `balances`, `does not balance` or `not reported`."""
    fetched: int | None
    distinct: int | None
    acknowledged: int
    stored: int
    dead_lettered: int
    in_flight: int
    lost: int
    equation: str
    problem: str
    seen_at: AwareDatetime
    """When ingest or stream last reported on it."""


class PipelinePart(_Frozen):
    """One pipeline, from the API to the table."""

    name: str
    state: State = State.IDLE
    sentence: str = ""
    """The state in words, what matters most first."""
    source: SourcePart
    airflow: AirflowPart
    kafka: KafkaPart
    stream: StreamPart
    cassandra: CassandraPart
    letters: LettersPart
    runs: tuple[RunPart, ...]
    """The newest ones, the newest first."""


class RefusedPart(_Frozen):
    """A declaration of the project that is no pipeline: it is broken, or collides with another one."""

    place: str
    problem: str


class Overview(_Frozen):
    """All pipelines and the local services at one moment."""

    at: AwareDatetime
    pipelines: tuple[PipelinePart, ...]
    refused: tuple[RefusedPart, ...] = ()
    services: tuple[ServiceState, ...]
    """Those of the local stack; none where nothing was ever started here."""

    def to_json(self) -> str:
        return self.model_dump_json(indent=2)
