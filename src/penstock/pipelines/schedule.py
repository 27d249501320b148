"""The values that a schedule may have: checked when it is declared, so that Airflow need not refuse it later."""

import re
from datetime import timedelta

from penstock.errors import ContractError

_NAMES = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_WITHOUT_INTERVAL = ("@once", "@continuous")
"""Names of Airflow's that are no times, so that nothing lies between two of them."""
# Five fields, or six with seconds: https://airflow.apache.org/docs/apache-airflow/3.3.2/authoring-and-scheduling/cron.html
_FIELD = "([0-9*?LW#/,-]|[A-Za-z]{3})+"
_CRON = re.compile(rf"{_FIELD}( +{_FIELD}){{4,5}}")


def checked(every: str | timedelta | None) -> str | timedelta | None:
    """Returns the schedule as it is, if Airflow can make one of it.

    Raises:
        ContractError: Airflow makes no schedule of it.
    """
    if isinstance(every, timedelta) and every <= timedelta(0):
        raise ContractError(
            f"a schedule of every {every} never gets on; it is a length of time, e.g. timedelta(hours=6)"
        )
    if isinstance(every, str) and every not in (*_NAMES, *_WITHOUT_INTERVAL) and not _CRON.fullmatch(every):
        raise ContractError(
            f"a schedule of every {every!r} is neither a cron expression of five fields, e.g. '30 4 * * *', nor one of "
            f"{', '.join((*_NAMES, *_WITHOUT_INTERVAL))}"
        )
    return every


def check_interval(every: str | timedelta | None) -> None:
    """Refuses a schedule whose runs have no interval.

    Raises:
        ContractError: says which.
    """
    if every in _WITHOUT_INTERVAL:
        raise ContractError(
            f"the source asks for the {{start}} and {{end}} of a run, and a run of {every!r} has none: give a cron "
            "expression or a length of time"
        )
