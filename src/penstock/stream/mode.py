"""Whether the stream runs in Spark's real-time mode, or in micro-batches.

In real-time mode each partition needs a task slot all the time. With fewer slots than partitions Spark says nothing: it
reads those that have one, and the others never. So slots and partitions are compared while the stream runs.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

log = logging.getLogger(__name__)

GRACE_S = 20.0
"""How long there are too few slots, or enough, before the mode changes: a killed executor is back sooner."""
_LOOK_S = 5.0


class Mode(StrEnum):
    """As the setting `spark.mode` names them."""

    REAL_TIME = "real-time"
    MICRO_BATCH = "micro-batch"


@dataclass(frozen=True)
class Room:
    """Task slots of the living executors, and partitions that each need one."""

    slots: int
    partitions: int

    @property
    def suffices(self) -> bool:
        return self.slots >= self.partitions

    def __str__(self) -> str:
        return f"{self.slots} task slots for {self.partitions} partitions"


class Modes:
    """Which mode is the right one, as long as a stream runs. `look` asks for the room; `wanted` is the setting's."""

    def __init__(
        self, wanted: Mode, look: Callable[[], Room], name: str, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._wanted, self._look, self._name, self._now_s = wanted, look, name, now_s
        self._looked_s = self._right_s = now_s()
        self.mode = wanted

    def settle(self, wait: Callable[[], bool], *, all_there: bool = False) -> None:
        """For a stream that starts: returns when there are slots for real-time mode, or do not come.

        Executors register one by one, unless they are `all_there`; between two looks `wait` is called, which may say
        that it is enough.
        """
        if all_there:
            self._right_s -= GRACE_S
        while self._wanted is Mode.REAL_TIME and not self._is_right() and not self._has_changed() and not wait():
            pass

    def changes(self) -> bool:
        """Looks, at most every few seconds, and returns whether `mode` is another one now."""
        if self._wanted is Mode.MICRO_BATCH or self._now_s() - self._looked_s < _LOOK_S:
            return False
        return not self._is_right() and self._has_changed()

    def leave_real_time(self, why: str) -> None:
        """Goes on in micro-batches, for `GRACE_S` at least."""
        self.mode, self._right_s = Mode.MICRO_BATCH, self._now_s()
        log.warning("%s: %s: it goes on in micro-batches for a while", self._name, why)

    def _is_right(self) -> bool:
        self._looked_s = self._now_s()
        self._room = self._look()
        right = self._room.suffices == (self.mode is Mode.REAL_TIME)
        self._right_s = self._looked_s if right else self._right_s
        return right

    def _has_changed(self) -> bool:
        if self._now_s() - self._right_s < GRACE_S:
            return False
        self._right_s = self._now_s()
        if self._room.suffices:
            self.mode = Mode.REAL_TIME
            log.info("%s: %s: it goes on in real time", self._name, self._room)
        else:
            self.mode = Mode.MICRO_BATCH
            log.warning("%s: %s, too few for real-time mode: it goes on in micro-batches", self._name, self._room)
        return True
