"""Where contenders meet: one Kafka, one Cassandra and one Spark of the launcher, one table, in a home of their own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.digest import Digest, digest, token_ranges
from penstock.cassandra import Store
from penstock.cli.support.start import start
from penstock.config import Settings, StackSettings
from penstock.launcher import control
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import DEFAULT, load_pipeline
from penstock.servers.access import as_principal
from penstock.servers.principals import Principal
from penstock.source.ahead import ahead
from rig.stacks import processes_of, settings_in

SERVICES = ("kafka", "cassandra", "spark-master", "spark-worker")
_ROWS_A_LOOK = 2_000


@dataclass(frozen=True)
class Place:
    """The running servers and the table."""

    settings: Settings
    pipeline: Pipeline
    store: Store

    @property
    def client(self) -> Settings:
        """The settings with which the harness itself calls Kafka: with credentials where the stack asks for some."""
        return as_principal(self.settings, Principal.OPERATOR)

    @property
    def table(self) -> str:
        return f"{self.pipeline.keyspace}.{self.pipeline.table}"

    @property
    def runs(self) -> Path:
        """Checkpoints, logs and settings of the contenders."""
        return self.settings.home / "bench"

    def empty_table(self) -> None:
        """One definition for all; nothing of the contender before is left."""
        self.store.ensure_table(self.pipeline)
        self.store.define(f"TRUNCATE {self.table}")

    def writes(self) -> int:
        """How many rows were ever written to the table, counted by Cassandra when a row becomes readable."""
        cql = "SELECT count FROM system_views.local_write_latency WHERE keyspace_name = ? AND table_name = ?"
        found = self.store.execute(cql, (self.pipeline.keyspace, self.pipeline.table))
        return sum(row["count"] for row in found)

    def read_back(self, rows: int) -> Digest:
        """Of all rows of the table, read token range by token range; `rows` are about how many there are."""
        names = [column.name for column in self.pipeline.columns]
        [key] = self.pipeline.keys.names
        what = f"SELECT {', '.join(names)} FROM {self.table} "  # noqa: S608 - names of the declaration
        cql = f"{what} WHERE token({key}) >= ? AND token({key}) <= ?"
        ranges = token_ranges(rows // _ROWS_A_LOOK + 1)
        found = ahead(self.store.execute(cql, span) for span in ranges)
        return digest([row[name] for name in names] for rows in found for row in rows)

    def processes(self) -> Mapping[str, psutil.Process]:
        """The servers by name."""
        state = control.status(self.settings, memory=False)
        return {one.name: psutil.Process(one.pid) for one in state.services if one.pid}


@contextmanager
def place(home: Path, *more: str, services: Sequence[str] = SERVICES) -> Iterator[Place]:
    """The servers, and `more` of them, on free ports; stopped at the end, when nothing of them may be left."""
    settings = settings_in(home)
    with running(settings, (*services, *more)):
        yield from _place(settings)


@contextmanager
def secure_place(home: Path) -> Iterator[Place]:
    """The servers of a secure stack, which the harness calls as the administrator and as a person does."""
    settings = settings_in(home, StackSettings(secure=True))
    with running(settings, SERVICES):
        yield from _place(settings)


@contextmanager
def running(settings: Settings, services: Sequence[str] = ()) -> Iterator[None]:
    """These services, all if none is named, started as `penstock up` does and stopped at the end."""
    try:
        start(settings, services)
        yield
    finally:
        control.down(settings)
        left = processes_of(settings.home)
        if left:
            raise SystemExit(f"processes are left: {left}")


def _place(settings: Settings) -> Iterator[Place]:
    with Store(as_principal(settings, Principal.ADMIN).cassandra) as store:
        yield Place(settings, load_pipeline(DEFAULT), store)
