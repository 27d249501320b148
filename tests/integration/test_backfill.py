"""A backfill of a month by Airflow's own command, through the DAG of the earthquakes, against one run over the month.

In a stack of its own, whose DAG is that of the example.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from examples.earthquakes.simulator import PATH, Catalogue
from penstock.airflow import Airflow
from penstock.audit import ledger
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.ingest import IngestReport
from penstock.launcher import control
from penstock.pipelines.project import load_pipeline
from penstock.servers.secrets import with_credentials
from penstock.simulator import Asked, Fault, Reply, Simulator
from penstock.simulator.faults import failing
from rig.stacks import free_ports, processes_of, settings_in, start
from tests.examples import LATER, MARCH, ROOT
from tests.secured import changed
from tests.streaming import streaming
from tests.waiting import TIMEOUT_S

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(1_800)]
DAYS = [MARCH + timedelta(days=day) for day in range(30)]
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
# The DAG of the example, but that Airflow has two intervals to catch up with and not all since the example was written.
DECLARATION = f"""
from datetime import UTC, datetime
from earthquakes import EARTHQUAKES as EXAMPLE

START = datetime.fromisoformat("{(MIDNIGHT - timedelta(days=3)).isoformat()}")
EARTHQUAKES = EXAMPLE.model_copy(update={{"schedule": EXAMPLE.schedule.model_copy(update={{"start": START}})}})
MONTH = EXAMPLE.model_copy(update={{"topic": "earthquakes_month", "table": "earthquakes_month"}})
"""


@dataclass
class Stack:
    """A stack whose DAG asks the simulator, and what it asked."""

    settings: Settings
    asked: list[dict[str, str]] = field(default_factory=list)
    spoiled: list[Fault] = field(default_factory=list)
    """What the next requests meet."""

    def questions(self) -> Counter[tuple[str, str, str]]:
        return Counter((query["starttime"], query["endtime"], query["offset"]) for query in self.asked)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("backfill")
    shutil.copy(ROOT / "examples" / "earthquakes" / "earthquakes.py", folder)
    (folder / "backfilled.py").write_text(DECLARATION, "utf-8")
    catalogue, running = Catalogue(as_of=LATER), Stack(Settings())

    def answer(asked: Asked) -> Reply:
        running.asked.append(asked.query)
        return catalogue(asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        patch.syspath_prepend(folder)
        with Simulator(api=answer, faults=lambda _: running.spoiled.pop() if running.spoiled else None) as simulator:
            urls = {"earthquakes": f"http://127.0.0.1:{simulator.port}{PATH}"}
            running.settings = of_backfill(settings_in(folder / "home"), "EARTHQUAKES", urls)
            try:
                parts = ("api-server", "scheduler", "dag-processor")
                start(running.settings, "stream", *(f"airflow-{part}" for part in parts))
                yield running
            finally:
                control.down(running.settings)
            assert processes_of(running.settings.home) == []


def of_backfill(settings: Settings, name: str, urls: dict[str, str]) -> Settings:
    given = settings.model_copy(update={"pipelines": (f"backfilled:{name}",)})
    return changed(given, source={"urls": urls})


@pytest.fixture(scope="module")
def airflow(stack: Stack) -> Iterator[Airflow]:
    with Airflow(with_credentials(stack.settings)) as airflow:
        airflow.wait_until_parsed("earthquakes", 120)
        airflow.unpause("earthquakes")
        yield airflow


def backfill(settings: Settings, *arguments: str) -> str:
    """Airflow's command, as docs/example-earthquakes.md has it."""
    environment = {**os.environ, "AIRFLOW_HOME": str(settings.home / "data" / "airflow")}
    program = Path(sys.executable).with_name("airflow")
    command = [program, "backfill", "create", "--dag-id", "earthquakes", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


def finished(airflow: Airflow, run: str) -> IngestReport:
    airflow.wait("earthquakes", run, lambda _: None, TIMEOUT_S)
    return IngestReport.model_validate(airflow.result("earthquakes", run, "ingest"))


def run_of(day: datetime, kind: str = "backfill") -> str:
    """Airflow names a run after the moment from which it may begin: the end of its interval."""
    return f"{kind}__{(day + timedelta(days=1)).isoformat()}"


def table(settings: Settings, name: str) -> dict[Any, dict[str, Any]]:
    pipeline = load_pipeline(f"backfilled:{name}")
    with Store(settings.cassandra) as store:
        rows = [dict(row.values) for row in store.any_rows(pipeline, 100_000)]
    return {tuple(row[each] for each in pipeline.keys.names): row for row in rows}


def test_backfill_of_a_month_ends_with_the_table_of_one_run_over_the_month(
    stack: Stack, airflow: Airflow, tmp_path: Path
) -> None:
    bounds = ("--from-date", DAYS[0].date().isoformat(), "--to-date", DAYS[-1].date().isoformat())
    backfill(stack.settings, *bounds, "--max-active-runs", "4")
    reports = [finished(airflow, run_of(day)) for day in DAYS]
    windows = [(day.replace(tzinfo=None), day.replace(tzinfo=None) + timedelta(days=1)) for day in DAYS]
    asked = {(start, end) for start, end, _ in stack.questions() if start < "2025-04"}
    assert asked == {(start.isoformat(), end.isoformat()) for start, end in windows}
    month = month_by_hand(stack.settings, tmp_path)
    backfilled = table(stack.settings, "EARTHQUAKES")
    assert backfilled == month
    assert len(month) > 700
    assert sum(report.fetched for report in reports) > len(month)
    pipeline = load_pipeline("backfilled:EARTHQUAKES")
    problems = [one.problem for one in ledger.reconcile_deeply(stack.settings, pipeline)]
    assert problems == [""] * len(problems)
    assert len(problems) >= 30


def month_by_hand(settings: Settings, folder: Path) -> dict[Any, dict[str, Any]]:
    """The table of `penstock ingest` over the whole month, carried by a stream of its own."""
    [port] = free_ports(1)
    shutil.copy(ROOT / "examples" / "earthquakes" / "earthquakes.py", folder)
    (folder / "backfilled.py").write_text(DECLARATION, "utf-8")
    own = changed(
        of_backfill(settings, "MONTH", dict(settings.source.urls)),
        ports={"spark_driver_ui": port},
        spark={"master": "local[1]", "checkpoint": str(folder / "checkpoint")},
    )
    with streaming(own):
        window = ("--from", "2025-03-01", "--to", "2025-03-31", "--run-id", "month")
        subprocess.run(
            [sys.executable, "-m", "penstock", "ingest", *window],
            env={**os.environ, **own.environment(), "PYTHONPATH": str(folder)},
            check=True,
        )
        ledger.wait_until_balanced(own, load_pipeline("backfilled:MONTH"), "month", TIMEOUT_S)
    return table(own, "MONTH")


def test_intervals_since_the_start_are_caught_up_with(stack: Stack, airflow: Airflow) -> None:
    assert finished(airflow, run_of(MIDNIGHT - timedelta(days=3), "scheduled")).fetched == 0
    assert finished(airflow, run_of(MIDNIGHT - timedelta(days=2), "scheduled")).fetched == 0


def test_run_that_is_cleared_and_fails_once_asks_the_same_again_and_changes_nothing(
    stack: Stack, airflow: Airflow
) -> None:
    day, before = DAYS[6], table(stack.settings, "EARTHQUAKES")
    first = airflow.result("earthquakes", run_of(day), "ingest")
    stack.asked.clear()
    stack.spoiled[:] = [failing(404)]
    assert airflow.trigger("earthquakes", day) == run_of(day)  # a date that was run before is cleared
    again = finished(airflow, run_of(day))
    assert {task.name: task.tries for task in airflow.state("earthquakes", run_of(day)).tasks}["ingest"] == 3
    start, end = (moment.replace(tzinfo=None).isoformat() for moment in (day, day + timedelta(days=1)))
    offsets = ["1", str(1 + again.fetched)]
    questions = Counter({(start, end, offsets[0]): 2, (start, end, offsets[1]): 1})
    assert stack.questions() == questions
    assert (again.fetched, again.distinct, again.rejected) == (first["fetched"], first["distinct"], 0)
    assert table(stack.settings, "EARTHQUAKES") == before
