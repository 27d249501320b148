"""Notices a micro-batch that has stalled: a stream that only waits would run for ever and carry nothing."""

import time
from collections.abc import Callable, Sized

from penstock.errors import StalledError

STALL_S = 120.0
"""Without a job of Spark. Between two jobs a micro-batch plans, and asks Kafka and Cassandra, whose time-outs are
shorter than this (20 s a request to Cassandra).
"""
_LOOK_S = 5.0


class Watch:
    """Looked at while a query runs; `began_s` is when the attempt under way began, `jobs` are the active ones."""

    def __init__(
        self,
        name: str,
        began_s: Callable[[], float | None],
        jobs: Callable[[], Sized],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._began_s, self._jobs, self._now_s = name, began_s, jobs, now_s
        self._active_s = self._looked_s = now_s()

    def look(self) -> None:
        """Asks Spark every few seconds, and only while an attempt is under way.

        Raises:
            StalledError: an attempt has been under way for `STALL_S` in which no job was.
        """
        now_s, began_s = self._now_s(), self._began_s()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        if began_s is None or self._jobs():
            self._active_s = now_s
            return
        idle_s = now_s - max(self._active_s, began_s)
        if idle_s >= STALL_S:
            raise StalledError(
                f"{self._name}: a micro-batch is under way, and for {idle_s:.0f} s Spark had no job of it. Nothing is "
                "lost: started again, the stream does that micro-batch anew. What it waited for stands above in its log"
            )
