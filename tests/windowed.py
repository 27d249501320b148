"""A pipeline whose source asks for the interval of its run."""

from datetime import UTC, datetime, timedelta

from penstock.pipelines.contract import Schedule
from penstock.source import Link, Source
from penstock.users import USERS

QUAKES = USERS.model_copy(
    update={
        "name": "quakes",
        "source": Source(
            "https://api.example.com/quakes",
            "features",
            params={"since": "{start}", "until": "{end}"},
            paging=Link(),
        ),
        "schedule": Schedule(
            dag_id="quakes",
            start=datetime(2026, 11, 1, tzinfo=UTC),
            catchup=True,
            max_active_runs=2,
            lag=timedelta(days=9, hours=3),
        ),
    }
)
HOURLY = QUAKES.model_copy(
    update={
        "schedule": Schedule(dag_id="quakes", start=datetime(2026, 11, 1, tzinfo=UTC), every=timedelta(hours=1)),
    }
)
