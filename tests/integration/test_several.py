"""Several pipelines in one stream: one is added while the other runs, fails and comes back; both accounts are true."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from penstock.audit import ledger
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.doctor import Grade
from penstock.doctor import stream as doctor
from penstock.ingest import run_ingest
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import chosen
from penstock.source import Interval
from rig.stacks import free_ports
from tests.declared import TEXT, declare
from tests.streaming import log_of, streaming
from tests.waiting import TIMEOUT_S, until

RECORDS = 100


@pytest.fixture(scope="module")
def settings(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The stack's Kafka and Cassandra, a local Spark with task slots for two pipelines, and an empty project."""
    folder, [port] = tmp_path_factory.mktemp("several"), free_ports(1)
    changes = {"master": "local[8]", "checkpoint": str(folder / "checkpoint"), "epoch_s": 2}
    spark = stack_settings.spark.model_copy(update=changes)
    return stack_settings.model_copy(
        update={
            "project": str(folder),
            "ports": stack_settings.ports.model_copy(update={"spark_driver_ui": port}),
            "spark": spark,
        }
    )


@pytest.fixture
def first_and_second() -> tuple[str, str]:
    suffix = uuid4().hex[:8]
    return f"first_{suffix}", f"second_{suffix}"


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store(settings.cassandra) as store:
        yield store


def declared(settings: Settings, name: str) -> Pipeline:
    declare(settings.project, name)
    return chosen(settings, name)


def reported(settings: Settings) -> dict[str, str]:
    """Pipeline -> its state."""
    path = Path(settings.project, "report.json")
    found = json.loads(path.read_text())["pipelines"] if path.exists() else {}
    return {name: one["state"] for name, one in found.items()}


def ingest(settings: Settings, pipeline: Pipeline) -> str:
    """The name of a run that published records."""
    source = settings.source.model_copy(update={"urls": {pipeline.name: settings.source.simulator}})
    own = settings.model_copy(update={"source": source})
    run_ingest(own, pipeline, run := f"test__{uuid4()}", Interval(datetime.now(UTC)), RECORDS)
    return run


def balance(settings: Settings, pipeline: Pipeline, run: str) -> str:
    return ledger.wait_until_balanced(settings, pipeline, run, TIMEOUT_S).equation()


def in_flight(settings: Settings, pipeline: Pipeline, run: str) -> tuple[int, str]:
    [found] = ledger.reconcile(settings, pipeline, run)
    return found.account.in_flight, found.problem


def test_one_that_fails_does_not_stop_the_other_and_each_has_its_account(
    settings: Settings, store: Store, first_and_second: tuple[str, str]
) -> None:
    name, other = first_and_second
    first, whole = declared(settings, name), f"fetched {RECORDS} = stored {RECORDS} + dead-lettered 0"
    with streaming(settings, "--report", str(Path(settings.project, "report.json"))):
        assert balance(settings, first, ingest(settings, first)) == whole
        second = declared(settings, other)
        until(lambda: reported(settings).get(other) == "running")
        assert balance(settings, second, ingest(settings, second)) == whole
        for each in (first, second):
            assert f"{each.name}: reading {each.topic}, real-time" in log_of(settings)

        store.define(f"ALTER TABLE {second.keyspace}.{second.table} DROP phone")
        waiting = ingest(settings, second)
        until(lambda: reported(settings) == {name: "running", other: "failing"})
        until(lambda: f"pipeline {other} ended, and is attempted again" in log_of(settings))
        assert "phone is absent" in log_of(settings)
        assert balance(settings, first, ingest(settings, first)) == whole
        assert in_flight(settings, second, waiting) == (RECORDS, "")
        [well, ill] = doctor.queries(settings, [first, second])
        assert (well.grade, ill.grade, ill.subject) == (Grade.OK, Grade.FAILED, f"query of {other}")

        store.define(f"ALTER TABLE {second.keyspace}.{second.table} ADD phone text")
        assert balance(settings, second, waiting) == whole

        begun = log_of(settings).count(f"{name}: reading")
        declare(settings.project, name, f"{TEXT}# another text")
        until(lambda: log_of(settings).count(f"{name}: reading") > begun)
        broken = declare(settings.project, other, "1 / 0")
        until(lambda: "refused" in reported(settings).values())
        assert reported(settings)[other] == "running"
        broken.unlink()
        until(lambda: reported(settings) == {name: "running"})
        assert balance(settings, first, ingest(settings, first)) == whole
    # The drop hid what the second had in that column before.
    found = [*ledger.reconcile_deeply(settings, first), *ledger.reconcile_deeply(settings, second, waiting)]
    assert [(one.problem, one.account.in_flight) for one in found] == [("", 0)] * 4
