"""Real time where each partition has a task slot, micro-batches where not; with a clock of the test's own."""

from dataclasses import dataclass

import pytest

from penstock.stream.mode import GRACE_S, Mode, Modes, Room


@dataclass
class Stage:
    """Slots and partitions as they are at a moment."""

    slots: int
    partitions: int = 4
    now_s: float = 0
    looks: int = 0

    def look(self) -> Room:
        self.looks += 1
        return Room(self.slots, self.partitions)

    def modes(self, wanted: Mode = Mode.REAL_TIME) -> Modes:
        return Modes(wanted, self.look, "App", lambda: self.now_s)

    def wait(self) -> bool:
        self.now_s += 1
        return False

    def passes(self, modes: Modes, seconds: float) -> list[Mode]:
        """The modes that it changed to."""
        changes = []
        for _ in range(round(seconds)):
            self.now_s += 1
            if modes.changes():
                changes.append(modes.mode)
        return changes


def test_slots_for_all_partitions_mean_real_time_at_once() -> None:
    stage = Stage(slots=4)
    modes = stage.modes()
    modes.settle(stage.wait)
    assert (modes.mode, stage.now_s) == (Mode.REAL_TIME, 0)


def test_executors_that_register_late_are_waited_for() -> None:
    stage = Stage(slots=0)
    modes = stage.modes()

    def registers() -> bool:
        stage.slots += 1
        return stage.wait()

    modes.settle(registers)
    assert (modes.mode, stage.now_s) == (Mode.REAL_TIME, 4)


def test_too_few_slots_at_the_start_mean_micro_batches(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(slots=2)
    modes = stage.modes()
    modes.settle(stage.wait)
    assert (modes.mode, stage.now_s) == (Mode.MICRO_BATCH, GRACE_S)
    assert "App: 2 task slots for 4 partitions, too few for real-time mode" in caplog.text


def test_slots_that_are_all_there_are_not_waited_for() -> None:
    stage = Stage(slots=2)
    modes = stage.modes()
    modes.settle(stage.wait, all_there=True)
    assert (modes.mode, stage.now_s) == (Mode.MICRO_BATCH, 0)


def test_a_stop_ends_the_wait_for_slots() -> None:
    stage = Stage(slots=2)
    stage.modes().settle(lambda: True)
    assert stage.looks == 1


@pytest.mark.parametrize("changes", [{"slots": 2}, {"partitions": 5}, {"slots": 0}])
def test_a_worker_lost_or_partitions_added_mean_micro_batches_until_there_are_slots_again(
    changes: dict[str, int],
) -> None:
    stage = Stage(slots=4)
    modes = stage.modes()
    assert stage.passes(modes, 100) == []
    for name, value in changes.items():
        setattr(stage, name, value)
    assert stage.passes(modes, GRACE_S + 10) == [Mode.MICRO_BATCH]
    stage.slots = 5
    assert stage.passes(modes, GRACE_S + 10) == [Mode.REAL_TIME]


def test_an_executor_that_is_back_soon_changes_nothing() -> None:
    stage = Stage(slots=4)
    modes = stage.modes()
    for _ in range(5):
        stage.slots = 0
        assert stage.passes(modes, GRACE_S / 2) == []
        stage.slots = 4
        assert stage.passes(modes, GRACE_S / 2) == []


def test_who_leaves_real_time_though_there_are_slots_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(slots=4)
    modes = stage.modes()
    modes.leave_real_time("messages wait")
    assert "App: messages wait: it goes on in micro-batches for a while" in caplog.text
    assert (modes.mode, stage.passes(modes, GRACE_S - 1)) == (Mode.MICRO_BATCH, [])
    assert stage.passes(modes, 10) == [Mode.REAL_TIME]


def test_who_wants_micro_batches_has_them() -> None:
    stage = Stage(slots=9)
    modes = stage.modes(Mode.MICRO_BATCH)
    modes.settle(stage.wait)
    assert (stage.passes(modes, 100), modes.mode, stage.looks) == ([], Mode.MICRO_BATCH, 0)
