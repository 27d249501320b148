"""Runs of the DAG through the real scheduler, also while parts of Airflow are killed."""

from datetime import UTC, datetime
from typing import Any

import psutil
import pytest

from penstock.airflow import Airflow, DagRun
from penstock.config import Settings
from penstock.errors import ScheduleError
from penstock.launcher import control
from penstock.launcher.state import Phase, ServiceState
from tests.secured import changed
from tests.waiting import TIMEOUT_S, until

# The scheduler and Postgres are killed in the rounds of faults.
COMPONENTS = [
    "airflow-api-server",
    pytest.param("airflow-dag-processor", marks=pytest.mark.thorough),
    pytest.param("airflow-triggerer", marks=pytest.mark.thorough),
]


def service(settings: Settings, name: str) -> ServiceState:
    return control.status(settings, memory=False).service(name)


def kill(settings: Settings, name: str) -> int:
    pid = service(settings, name).pid
    assert pid
    psutil.Process(pid).kill()
    return pid


def is_back(settings: Settings, name: str, killed: int) -> bool:
    now = service(settings, name)
    return now.state is Phase.READY and now.pid != killed


def start_run(airflow: Airflow, records: int) -> str:
    return airflow.trigger("user_info", datetime.now(UTC), {"records": records})


def start_task(airflow: Airflow, records: int) -> str:
    """A run whose task is at work."""
    run = start_run(airflow, records)
    until(lambda: any(task.state == "running" for task in airflow.state("user_info", run).tasks))
    return run


def finish(airflow: Airflow, run: str) -> dict[str, Any]:
    airflow.wait("user_info", run, ignore, TIMEOUT_S)
    report: dict[str, Any] = airflow.result("user_info", run, "streaming_task")
    return report


def ignore(_: DagRun) -> None:
    """Only the end counts."""


def test_a_run_reports_what_it_published(airflow: Airflow) -> None:
    report = finish(airflow, start_run(airflow, 120))
    assert report["fetched"] == report["acknowledged"] + report["rejected"] == 120


def test_a_run_asks_for_as_many_as_declared_unless_told(airflow: Airflow) -> None:
    assert finish(airflow, airflow.trigger("user_info", datetime.now(UTC)))["fetched"] == 1_000


def test_a_run_needs_no_logical_date(airflow: Airflow) -> None:
    assert finish(airflow, airflow.trigger("user_info", None, {"records": 5}))["fetched"] == 5


@pytest.mark.parametrize("records", [0, 20.5, "20", None, 10**9])
def test_a_number_of_records_that_cannot_be_is_refused_when_it_is_asked_for(airflow: Airflow, records: object) -> None:
    with pytest.raises(ScheduleError, match="records"):
        airflow.trigger("user_info", datetime.now(UTC), {"records": records})


def test_a_whole_number_may_be_written_as_a_fraction(airflow: Airflow) -> None:
    assert finish(airflow, airflow.trigger("user_info", datetime.now(UTC), {"records": 5.0}))["fetched"] == 5


def test_a_conf_that_is_not_known_fails_in_the_first_attempt_and_says_so(airflow: Airflow) -> None:
    run = airflow.trigger("user_info", datetime.now(UTC), {"record": 5})
    with pytest.raises(ScheduleError, match="conf has record, which the DAG user_info does not know"):
        airflow.wait("user_info", run, ignore, TIMEOUT_S)
    tries = {task.name: task.tries for task in airflow.state("user_info", run).tasks}
    assert tries["streaming_task"] == 1


def test_only_the_generated_password_logs_in(stack_settings: Settings) -> None:
    with (
        Airflow(changed(stack_settings, airflow={"username": "admin", "password": "admin"})) as stranger,
        pytest.raises(ScheduleError, match="401"),
    ):
        stranger.unpause("user_info")


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_run_outlives_kill_9_of(component: str, stack_settings: Settings, airflow: Airflow) -> None:
    run = start_task(airflow, 20_000)
    killed = kill(stack_settings, component)
    until(lambda: is_back(stack_settings, component, killed))
    assert finish(airflow, run)["fetched"] == 20_000
