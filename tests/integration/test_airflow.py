"""Runs of the DAG through the real scheduler. While parts of Airflow are killed: the rounds of faults."""

from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.airflow import Airflow, DagRun
from penstock.config import Settings
from penstock.errors import ScheduleError
from tests.secured import changed
from tests.waiting import TIMEOUT_S


def start_run(airflow: Airflow, records: int) -> str:
    return airflow.trigger("user_info", datetime.now(UTC), {"records": records})


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
