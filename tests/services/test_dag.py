"""The DAG file, loaded by Airflow itself in a process of its own."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.config import child_environment
from penstock.servers.airflow import dags_folder
from tests.declared import TEXT, declare


def described(home: Path, **settings: str) -> dict[str, Any]:
    """The DAG of the settings' pipeline."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("describe_dag.py")), str(dags_folder())],
        env=child_environment({"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **settings}),
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def dag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return described(tmp_path_factory.mktemp("airflow"))


def of_windowed(tmp_path: Path, name: str) -> dict[str, Any]:
    """The DAG of a pipeline of `windowed`."""
    pipeline = f"tests.windowed:{name}"
    return described(tmp_path, PENSTOCK_PIPELINES=pipeline, PYTHONPATH=str(Path(__file__).parents[2]))


@pytest.fixture(scope="module")
def quakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return of_windowed(tmp_path_factory.mktemp("quakes"), "QUAKES")


def test_source_that_asks_for_its_interval_gets_that_of_the_schedule(quakes: dict[str, Any]) -> None:
    assert quakes["errors"] == {}
    assert "CronDataIntervalTimetable" in quakes["schedule"]
    assert (quakes["catchup"], quakes["active"], quakes["before"], quakes["params"]) == (True, 2, ["lag"], {})


def test_lag_of_any_length_is_waited_for(quakes: dict[str, Any]) -> None:
    assert quakes["patience_s"] == {"lag": timedelta(days=10, hours=3).total_seconds()}


def test_backfill_of_a_month_asks_for_each_of_its_days(quakes: dict[str, Any]) -> None:
    days = [datetime(2026, 11, day, tzinfo=UTC) for day in range(1, 31)]
    assert quakes["intervals"] == [[day.isoformat(), (day + timedelta(days=1)).isoformat()] for day in days]


def test_schedule_may_be_a_length_of_time(tmp_path: Path) -> None:
    dag = of_windowed(tmp_path, "HOURLY")
    assert (dag["errors"], dag["before"], dag["catchup"]) == ({}, [], False)
    assert "DeltaDataIntervalTimetable" in dag["schedule"]


def test_each_pipeline_of_the_project_has_a_dag_and_a_broken_one_takes_none_along(tmp_path: Path) -> None:
    for name, text in {"orders": TEXT, "returns": TEXT, "broken": "1 / 0"}.items():
        declare(tmp_path, name, text)
    found = described(tmp_path, PENSTOCK_PROJECT=str(tmp_path))
    assert (sorted(found["dags"]), found["errors"]) == (["orders", "returns"], {})


def test_loads_without_error(dag: dict[str, Any]) -> None:
    assert dag["errors"] == {}


def test_has_the_names_of_the_mission(dag: dict[str, Any]) -> None:
    assert (dag["dags"], dag["tasks"], dag["callable"]) == (
        ["user_info"],
        ["streaming_task", "reconcile"],
        "kafka_stream",
    )


def test_what_was_published_is_reconciled(dag: dict[str, Any]) -> None:
    assert dag["then"] == ["reconcile"]


def test_runs_daily_and_makes_up_for_nothing(dag: dict[str, Any]) -> None:
    assert (dag["schedule"], dag["catchup"]) == ("@daily", False)


def test_starts_when_and_belongs_to_whom_the_mission_says(dag: dict[str, Any]) -> None:
    assert (dag["start"], dag["owner"]) == ("2025-03-12T14:30:00+00:00", "airflow")


def test_asks_for_as_many_records_as_declared(dag: dict[str, Any]) -> None:
    assert dag["params"] == {"records": 1_000}


def test_a_failed_try_is_tried_again(dag: dict[str, Any]) -> None:
    assert dag["retries"] == 4


def test_what_a_second_try_cannot_mend_is_not_tried_again(dag: dict[str, Any]) -> None:
    assert dag["after"] == {
        "ConfigError": ["fail", "fail"],
        "ContractError": ["fail", "fail"],
        "TopicError": ["fail", "fail"],
        "RejectedError": ["fail", "fail"],
        "BrokerError": ["default", "default"],
    }


@pytest.mark.parametrize("heavy", ["pyspark", "cassandra", "confluent_kafka", "httpx", "psutil"])
def test_loading_imports_no_client(dag: dict[str, Any], heavy: str) -> None:
    assert heavy not in dag["imported"]


def test_the_file_is_a_declaration() -> None:
    assert len((dags_folder() / "user_info.py").read_text("utf-8").splitlines()) <= 95
