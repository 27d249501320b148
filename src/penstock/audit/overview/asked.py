"""One server that is asked again and again, and holds nobody up when it is slow."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from penstock.errors import PenstockError

_LATE_S = 1.0
"""How long a look waits for a server that has answered before; then it takes the last answer."""
_SHARE = 0.05
"""The part of the time that asking one server may take; one that takes longer is asked less often."""
_LONGEST_S = 15.0
"""How old an answer may become by that."""


@dataclass(frozen=True)
class Answer:
    """The answer of a server, by the pipeline's name; or why there is none."""

    values: Mapping[str, Any]
    problem: str = ""


class Asked:
    """One server: asked in a thread of its own, and never twice at a time."""

    def __init__(
        self, ask: Callable[[], Mapping[str, Any]], patience_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._patience_s, self._now_s = ask, patience_s, now_s
        self._asking: Future[Answer] | None = None
        self._last: Answer | None = None
        self._began_s = self._next_s = 0.0

    def begin(self, threads: ThreadPoolExecutor) -> None:
        """Asks anew, unless it is being asked, or asking took so long that the last answer still counts."""
        if self._asking is None and self._now_s() >= self._next_s:
            self._began_s = self._now_s()
            self._asking = threads.submit(self._answer)

    def answer(self) -> Answer:
        """The new answer; the last one where the new one is late, but not longer than the patience."""
        if self._asking is not None:
            left_s = self._began_s + self._patience_s - self._now_s()
            late_s = left_s if self._last is None or left_s < 0 else min(left_s, _LATE_S)
            wait([self._asking], max(0.0, late_s))
            if self._asking.done():
                done, self._asking = self._asking, None
                self._last = done.result()
            elif self._last is None or self._now_s() - self._began_s >= self._patience_s:
                self._last = Answer({}, f"no answer within {self._patience_s:.0f} s")
        return self._last or Answer({}, "not asked yet")

    @property
    def is_idle(self) -> bool:
        """Whether its client is free for another question."""
        return self._asking is None

    def _answer(self) -> Answer:
        try:
            found = Answer(self._ask())
        except PenstockError as error:
            return Answer({}, str(error))
        ended_s = self._now_s()
        self._next_s = ended_s + min(_LONGEST_S, (ended_s - self._began_s) / _SHARE)
        return found
