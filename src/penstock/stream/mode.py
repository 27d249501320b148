"""Chooses between Spark's real-time mode and micro-batches, while the stream runs.

In real-time mode each partition needs a task slot all the time. With fewer slots than partitions Spark says nothing: it
reads those that have one, and the others never. So slots and partitions are compared while the stream runs.

And an epoch's time begins with its plan. On a machine so busy that the plan and the start of the tasks take longer than
the epoch, the tasks end before they have read anything; Spark says nothing of that either, so it is looked for.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from penstock.waiting import BackOff

log = logging.getLogger(__name__)

GRACE_S = 20.0
"""How long there are too few slots, or enough, before the mode changes: a killed executor is back sooner."""
_LOOK_S = 5.0
_FIRST_HOLD_S, _LONGEST_HOLD_S = 60.0, 3_600.0
"""How long micro-batches are stayed with after real time was left for them; twice as long after each time."""
_STEADY_S = 900.0
"""Who was in real time for so long begins with the first of them again."""
_EPOCHS = 2
"""Between two looks whether the stream falls behind."""


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
    """Chooses the mode as long as a stream runs. `look` asks for the room; `wanted` is the setting's."""

    def __init__(
        self, wanted: Mode, look: Callable[[], Room], name: str, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._wanted, self._look, self._name, self._now_s = wanted, look, name, now_s
        self._looked_s = self._right_s = self._real_time_s = self._held_until_s = now_s()
        self._holds = BackOff(first_s=_FIRST_HOLD_S, longest_s=_LONGEST_HOLD_S, healthy_s=_STEADY_S)
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

    def changes(self, may_leave: Callable[[], bool] = lambda: True) -> bool:
        """Looks, at most every few seconds, and returns whether `mode` is another one now.

        `may_leave` is asked before a change: whether the query that runs may be stopped now.
        """
        now_s = self._now_s()
        if self._wanted is Mode.MICRO_BATCH or now_s < max(self._looked_s + _LOOK_S, self._held_until_s):
            return False
        return not self._is_right() and may_leave() and self._has_changed()

    def leave_real_time(self, why: str) -> None:
        """Goes on in micro-batches for a minute at least, and longer where that has not helped before."""
        now_s = self._now_s()
        hold_s = self._holds.next_s(now_s - self._real_time_s)
        self.mode, self._right_s, self._held_until_s = Mode.MICRO_BATCH, now_s, now_s + hold_s
        log.warning("%s: %s: it goes on in micro-batches for %.0f min at least", self._name, why, hold_s / 60)

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
            self.mode, self._real_time_s = Mode.REAL_TIME, self._right_s
            log.info("%s: %s: it goes on in real time", self._name, self._room)
        else:
            self.mode = Mode.MICRO_BATCH
            log.warning("%s: %s, too few for real-time mode: it goes on in micro-batches", self._name, self._room)
        return True


@dataclass
class Behind:
    """Whether a stream in real time falls behind since its epochs are too short for the machine.

    `unread` tells of each partition with something to read where the next epoch begins, and where the messages end.
    """

    epoch_s: float
    unread: Callable[[], Mapping[int, tuple[int, int]]]
    committed: int
    """Epochs that were committed at the last look; to begin with, when the query started."""
    now_s: Callable[[], float] = time.monotonic
    _looked_s: float = field(init=False)
    _ends: Mapping[int, int] = field(default_factory=dict)
    """What there was to read at the last look, if there was a reason to ask."""

    def __post_init__(self) -> None:
        self._looked_s = self.now_s()

    def look(self, committed: int, empty: int) -> str:
        """Why real time is to be left, or nothing; `empty` is how many of the `committed` epochs, the last ones, took
        nothing. Looks every two epochs.

        Epochs that read all the time are behind too while there is a backlog: only those count that took nothing, or
        more than twice their time.
        """
        epochs = committed - self.committed
        if epochs < _EPOCHS:
            return ""
        each_s = (self.now_s() - self._looked_s) / epochs
        self.committed, self._looked_s = committed, self.now_s()
        ends, self._ends = self._ends, {}
        if empty < _EPOCHS and each_s < 2 * self.epoch_s:
            return ""
        unread = self.unread()
        self._ends = {number: end for number, (_, end) in unread.items()}
        if any(begin < ends.get(number, 0) for number, (begin, _) in unread.items()):
            return f"what waited {_EPOCHS} epochs ago is not read, and epochs of {self.epoch_s:g} s take {each_s:.0f} s"
        return ""
