"""Schedules: what Airflow would refuse, or run without an interval, is refused in the declaration."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock import Pipeline, Schedule
from penstock.errors import ContractError
from penstock.users import USERS

START = datetime(2026, 11, 1, tzinfo=UTC)
FIELDS = {name: getattr(USERS, name) for name in Pipeline.model_fields}


@pytest.mark.parametrize(
    "every",
    [None, "@daily", "@hourly", "@once", "30 4 * * *", "*/5 0-6 1,15 JAN-MAR MON#1", "0 0 0 1 1 *", timedelta(hours=6)],
)
def test_times_of_a_schedule_are_those_that_airflow_knows(every: Any) -> None:
    assert Schedule(dag_id="d", start=START, every=every).every == every


@pytest.mark.parametrize("every", ["@dayly", "daily", "", "* * * *", "* * * * * * *", "every day at 4 h"])
def test_text_that_airflow_does_not_know_is_refused(every: str) -> None:
    with pytest.raises(ContractError, match="neither a cron expression of five fields"):
        Schedule(dag_id="d", start=START, every=every)


@pytest.mark.parametrize("every", [timedelta(0), timedelta(days=-1)])
def test_schedule_that_never_gets_on_is_refused(every: timedelta) -> None:
    with pytest.raises(ContractError, match="never gets on"):
        Schedule(dag_id="d", start=START, every=every)


@pytest.mark.parametrize("every", ["@once", "@continuous"])
def test_schedule_without_intervals_is_refused_where_the_source_asks_for_one(every: str) -> None:
    schedule = Schedule(dag_id="d", start=START, every=every)
    assert Pipeline(**FIELDS | {"schedule": schedule}).schedule.every == every
    asking = replace(USERS.source, params={"since": "{start}"})
    with pytest.raises(ContractError, match=f"a run of '{every}' has none"):
        Pipeline(**FIELDS | {"schedule": schedule, "source": asking})
