"""Notices an epoch that has stalled: a stream that only waits would run for ever and carry nothing."""

import time
from collections.abc import Callable, Sized

from penstock.errors import StalledError

STALL_S = 120.0
"""Without a job of Spark. Between two jobs an epoch is planned, and Kafka and Cassandra are asked, whose timeouts are
shorter than this (20 s a request to Cassandra).
"""
_LOOK_S = 5.0


class Watch:
    """Looked at while a query runs; `jobs` are Spark's active ones."""

    def __init__(
        self,
        name: str,
        jobs: Callable[[], Sized],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._jobs, self._now_s = name, jobs, now_s
        self._active_s = self._looked_s = now_s()

    def look(self, began_s: float | None) -> None:
        """Asks Spark every few seconds, and only while an epoch is under way, which it is since `began_s`.

        Raises:
            StalledError: an epoch has been under way for `STALL_S` in which no job was.
        """
        now_s = self._now_s()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        if began_s is None or self._jobs():
            self._active_s = now_s
            return
        idle_s = now_s - max(self._active_s, began_s)
        if idle_s >= STALL_S:
            raise StalledError(
                f"{self._name}: an epoch is under way, and for {idle_s:.0f} s Spark had no job of it. Nothing is "
                "lost: started again, the stream does that epoch anew. What it waited for stands above in its log"
            )
