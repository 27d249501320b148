"""The pipelines of `examples/` from their simulators to their tables: every cell, what is revised and what goes."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples.earthquakes.earthquakes import EARTHQUAKES
from examples.earthquakes.simulator import PATH, Catalogue
from examples.issues.issues import ISSUES
from examples.issues.simulator import REPOSITORY, Repository
from penstock.audit import ledger
from penstock.audit.trace import trace
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.ingest import IngestReport, run_ingest
from penstock.kafka import Broker, Message
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header
from penstock.simulator import Simulator
from penstock.source import Interval
from rig.stacks import free_ports
from tests.examples import LATER, MARCH, ROOT, TOKEN, of_days
from tests.secured import changed
from tests.streaming import streaming
from tests.waiting import TIMEOUT_S

Row = dict[str, Any]
OCTOBER, NOVEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)


@contextmanager
def settings_of(pipeline: Pipeline, api: Any, path: str, stack: Settings, folder: Path) -> Iterator[Settings]:
    """Settings of a stream of the example on the stack's servers, while the simulator of its API runs."""
    name, [port] = pipeline.name, free_ports(1)
    shutil.copy(ROOT / "examples" / name / f"{name}.py", folder)
    with Simulator(api=api) as simulator:
        given = stack.model_copy(update={"pipelines": (f"{name}:{name.upper()}",)})
        yield changed(
            given,
            source={"urls": {name: f"http://127.0.0.1:{simulator.port}{path}"}, "secrets": {"ISSUES_TOKEN": TOKEN}},
            ports={"spark_driver_ui": port},
            spark={"master": "local[2]", "checkpoint": str(folder / "checkpoint")},
        )


def rows_in(store: Store, pipeline: Pipeline) -> list[Row]:
    """The whole table, in the order of its keys."""
    return by_key(pipeline, (dict(row.values) for row in store.any_rows(pipeline, 100_000)))


def by_key(pipeline: Pipeline, rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [str(row[name]) for name in pipeline.keys.names])


def carried(settings: Settings, pipeline: Pipeline, run: str, interval: Interval) -> IngestReport:
    """What a run published, once every record of it is accounted for: by the counts, and by the data."""
    report = run_ingest(settings, pipeline, run, interval)
    balance = ledger.wait_until_balanced(settings, pipeline, run, TIMEOUT_S)
    assert balance.equation() == f"fetched {report.fetched} = stored {report.fetched} + dead-lettered 0"
    assert ledger.wait_until_settled(settings, pipeline, run, TIMEOUT_S).balances(report.fetched)
    return report


def told(settings: Settings, *arguments: str) -> str:
    """What a command prints for the example, as its page has it."""
    folder = Path(settings.spark.checkpoint).parent
    environment = {**os.environ, **settings.environment(), "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "penstock", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def earthquake_of(event: Row) -> Row:
    """The row that an event must become: written out by hand, as the declaration must not judge itself."""
    properties, (longitude, latitude, depth) = event["properties"], event["geometry"]["coordinates"]
    time = datetime.fromtimestamp(properties["time"] // 1_000, UTC).replace(
        microsecond=properties["time"] % 1_000 * 1_000
    )
    magnitude = properties["mag"]
    return {
        "net": properties["net"],
        "day": date(time.year, time.month, time.day),
        "time": time,
        "id": event["id"],
        "updated": datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=properties["updated"]),
        "magnitude": None if magnitude is None else Decimal(repr(magnitude)),
        "magnitude_type": properties["magType"],
        "place": properties["place"],
        "longitude": longitude,
        "latitude": latitude,
        "depth_km": depth,
        "status": properties["status"],
        "gone": False,
        "felt": properties["felt"],
        "alert": properties["alert"],
        "tsunami": properties["tsunami"],
        "significance": properties["sig"],
        "url": properties["url"],
    }


def there(catalogue: Catalogue, end: datetime) -> list[Row]:
    """The rows of all earthquakes of March until then, of which none was deleted."""
    question = {"format": "geojson", "starttime": MARCH.isoformat(), "endtime": end.isoformat()}
    events = catalogue.answer({**question, "eventtype": "earthquake"})["features"]
    return by_key(EARTHQUAKES, map(earthquake_of, events))


@pytest.mark.thorough  # the issues go the same way; a month of earthquakes is the backfill's
def test_earthquakes_arrive_and_are_revised_and_those_that_were_none_go(
    stack_settings: Settings, store: Store, tmp_path: Path
) -> None:
    week, end = of_days(MARCH, 7), MARCH + timedelta(days=7)
    catalogue = Catalogue(seed=6, as_of=end)
    with settings_of(EARTHQUAKES, catalogue, PATH, stack_settings, tmp_path) as settings, streaming(settings):
        carried(settings, EARTHQUAKES, "early", week)
        early = there(catalogue, end)
        assert rows_in(store, EARTHQUAKES) == early
        carried(settings, EARTHQUAKES, "early again", week)
        assert rows_in(store, EARTHQUAKES) == early
        catalogue.as_of = LATER
        report = carried(settings, EARTHQUAKES, "late", week)
        late = there(catalogue, end)
        assert rows_in(store, EARTHQUAKES) == late
        assert f"fetched {report.fetched} = stored {report.fetched} + dead-lettered 0" in told(settings, "reconcile")
        assert "balances" in told(settings, "reconcile", "--deep", "--run", "early")  # of which "late" removed rows
        shown = [json.loads(line) for line in told(settings, "rows", "--limit", "5", "--json").splitlines()]
        assert {row["id"] for row in shown} <= {row["id"] for row in late}
        assert late[0]["id"] in told(settings, "trace", late[0]["id"], "--json")
    assert len(late) < report.fetched
    assert {row["id"] for row in early} - {row["id"] for row in late} != set()
    assert {row["id"] for row in late} - {row["id"] for row in early} != set()
    assert {row["id"] for row in early if row not in late} & {row["id"] for row in late} != set()
    newest_first = f"SELECT time FROM {EARTHQUAKES.keyspace}.{EARTHQUAKES.table} WHERE net = ? AND day = ?"  # noqa: S608
    times = [row["time"] for row in store.execute(newest_first, ("us", date(2025, 3, 2)))]
    assert times == sorted(times, reverse=True)
    assert len(times) > 3


def issue_of(item: Row) -> Row:
    """The row that an issue must become."""
    instants = {name: item.get(name) for name in ("created_at", "updated_at", "closed_at", "deleted_at")}
    return {
        "repository": item["repository_url"],
        **{name: item[name] for name in ("number", "id", "title", "body", "state", "state_reason", "comments")},
        "author": (item["user"] or {}).get("login"),
        "labels": item["labels"],
        "assignees": item["assignees"],
        "milestone": (item["milestone"] or {}).get("title"),
        "pull_request": item.get("pull_request", {}).get("html_url"),
        **{name: text and datetime.fromisoformat(text) for name, text in instants.items()},
    }


def read(rows: list[Row]) -> list[Row]:
    """JSON text as what it says."""
    return [{**row, "labels": json.loads(row["labels"]), "assignees": json.loads(row["assignees"])} for row in rows]


def again(broker: Broker, run: str) -> None:
    """Publishes the messages of a run once more, as a producer does that sends late what it had read long before."""
    messages = [each for each in broker.read(ISSUES.topic) if each.headers[Header.RUN] == run]
    broker.publish(
        Message(ISSUES.topic, each.key, each.value or b"", {**each.headers, Header.RUN: f"{run} again"}, each.timestamp)
        for each in messages
    )


def test_issues_arrive_and_change_and_a_deletion_holds_whatever_comes_late(
    stack_settings: Settings, broker: Broker, store: Store, tmp_path: Path
) -> None:
    repository, path = Repository(TOKEN, as_of=NOVEMBER - timedelta(days=8)), f"/repos/{REPOSITORY}/issues"
    rows: Callable[[], list[Row]] = lambda: read(rows_in(store, ISSUES))  # noqa: E731
    with settings_of(ISSUES, repository, path, stack_settings, tmp_path) as settings, streaming(settings):
        first = carried(settings, ISSUES, "first", of_days(OCTOBER, 50))
        before = expected(repository)
        assert rows() == before
        repository.as_of = NOVEMBER
        second = carried(settings, ISSUES, "second", of_days(NOVEMBER - timedelta(days=8), 8))
        assert rows() == expected(repository) != before
        again(broker, "first")
        assert ledger.wait_until_settled(settings, ISSUES, "first again", TIMEOUT_S).stored == first.fetched
        assert rows() == expected(repository)
        gone = [row for row in before if row["number"] not in {now["number"] for now in rows()}]
        found = trace(settings, ISSUES, json.dumps([gone[0]["repository"], str(gone[0]["number"])]))
    assert 0 < second.fetched < first.fetched
    assert found.rows == ()
    assert [message.deletes for message in found.messages].count(True) == 1


def expected(repository: Repository) -> list[Row]:
    items = repository.issues(repository.as_of or NOVEMBER)
    return by_key(ISSUES, [issue_of(item) for item in items if "deleted_at" not in item])
