"""How often an API may be asked."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class PerSecond:
    """At most this many requests a second of one run, evenly spread; 0.5 is one every two seconds.

    Runs of one pipeline that go on at the same time do not know of each other: see `Schedule.max_active_runs`.
    """

    requests: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @property
    def apart_s(self) -> float:
        """Least time from the begin of a request to that of the next one."""
        return 1 / self.requests
