"""Watches whether a server that was ready still answers: asks its own probe for as long as the server lives.

One question each `Service.probe_every_s`, in a thread of its own. A question that hangs is waited for, and no other one
is asked beside it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.launcher.service import NotReady, Service
from penstock.launcher.threads import in_thread

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 10.0
"""For one answer; probes give up sooner by themselves, but for one whose server hangs in the midst of it."""
AGAIN_S = 1.0
"""Pause before a server without a good answer is asked again: it is soon seen to be well again."""
_CONFIRMED_BY = 2
"""Probes without a good answer, in a row: a single one is a moment of a busy machine."""
_LONGEST_GAP_S = AGAIN_S + PROBE_TIMEOUT_S


@dataclass
class Silence:
    """Probes in a row without a good answer, the last one asked at `asked_s` of the monotonic clock.

    The time between two probes counts, up to the longest that they are meant to be apart: while the machine or the
    supervisor was suspended, nobody asked.
    """

    since: datetime
    asked_s: float
    answer: str
    """The last one, or why there was none."""
    probes: int = 1
    counted_s: float = 0

    def goes_on(self, now_s: float, answer: str) -> None:
        """Counts one more probe that got no good answer."""
        self.counted_s += min(now_s - self.asked_s, _LONGEST_GAP_S)
        self.asked_s, self.answer, self.probes = now_s, answer, self.probes + 1

    @property
    def confirmed(self) -> bool:
        """Whether enough probes in a row got no good answer."""
        return self.probes >= _CONFIRMED_BY

    def is_longer_than(self, longest_s: float) -> bool:
        """Whether the silence is confirmed and longer than this; never longer than 0, which turns restarts off."""
        return self.confirmed and 0 < longest_s <= self.counted_s


@dataclass
class Watch:
    """Asks one server that is ready until it was silent for `silence_s` seconds.

    `on_change` gets a silence as soon as it is confirmed, and None when the server answers again. While `can_tell` says
    no, a probe without a good answer proves nothing and does not count: it may be another server's fault.
    """

    service: Service
    silence_s: float
    can_tell: Callable[[], bool]
    on_change: Callable[[Silence | None], None]
    timeout_s: float = PROBE_TIMEOUT_S
    silence: Silence | None = None
    _asked: asyncio.Future[None] | None = None

    async def run(self) -> Silence:
        """Returns when the server was silent for too long: it is to be restarted."""
        every_s = self.service.probe_every_s
        # Servers become ready side by side, and all at once for a new supervisor: their probes are spread.
        pause_s = every_s * random.random()  # noqa: S311 - guards nothing
        try:
            while True:
                await asyncio.sleep(pause_s)
                self._heard(await self._ask())
                if self.silence and self.silence.is_longer_than(self.silence_s):
                    return self.silence
                pause_s = min(AGAIN_S, every_s) if self.silence else every_s
        finally:
            if self._asked:
                self._asked.cancel()

    async def _ask(self) -> str:
        """What is wrong with the answer; empty when it is a good one."""
        asked = self._asked = self._asked or in_thread(self.service.probe)
        done, _ = await asyncio.wait({asked}, timeout=self.timeout_s)
        if not done:
            return f"none within {self.timeout_s:.0f} s"
        self._asked = None
        failure = asked.exception()
        if failure and not isinstance(failure, NotReady):
            log.warning("%s: its probe failed by itself", self.service.name, exc_info=failure)
            return repr(failure)
        return str(failure) if failure else ""

    def _heard(self, wrong: str) -> None:
        if not wrong:
            if self.silence and self.silence.confirmed:
                self.on_change(None)
            self.silence = None
        elif self.can_tell():
            was_confirmed = bool(self.silence and self.silence.confirmed)
            if self.silence:
                self.silence.goes_on(time.monotonic(), wrong)
            else:
                self.silence = Silence(datetime.now(UTC), time.monotonic(), wrong)
            if self.silence.confirmed and not was_confirmed:
                self.on_change(self.silence)
