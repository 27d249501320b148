"""Real time where each partition has a task slot, micro-batches where not; with a clock of the test's own."""

from dataclasses import dataclass

import pytest

from penstock.stream.mode import GRACE_S, Behind, Mode, Modes, Room


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


def test_who_leaves_real_time_though_there_are_slots_comes_back_later_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(slots=4)
    modes = stage.modes()
    for hold_s in (60, 120, 240):
        modes.leave_real_time("messages wait")
        assert (modes.mode, stage.passes(modes, hold_s - 1)) == (Mode.MICRO_BATCH, [])
        assert stage.passes(modes, 10) == [Mode.REAL_TIME]
    assert "App: messages wait: it goes on in micro-batches for 4 min at least" in caplog.text
    assert stage.passes(modes, 1_000) == []
    modes.leave_real_time("messages wait")
    assert stage.passes(modes, 70) == [Mode.REAL_TIME]


def test_a_query_that_may_not_be_stopped_yet_keeps_its_mode() -> None:
    stage = Stage(slots=2)
    modes = stage.modes()
    stage.now_s += 2 * GRACE_S
    assert not modes.changes(lambda: False)
    assert (modes.mode, modes.changes()) == (Mode.REAL_TIME, False)
    stage.now_s += 5
    assert (modes.changes(), modes.mode) == (True, Mode.MICRO_BATCH)


@dataclass
class Flow:
    """A partition: what was written to it, and what of it was read. An epoch of 5 s takes `each_s`."""

    each_s: float = 5.4
    read: int = 0
    written: int = 0
    now_s: float = 0
    asked: int = 0
    committed: int = 7
    empty: int = 0

    def unread(self) -> dict[int, tuple[int, int]]:
        self.asked += 1
        return {3: (self.read, self.written)} if self.written > self.read else {}

    def behind(self) -> Behind:
        return Behind(5, self.unread, self.committed, lambda: self.now_s)

    def passes(self, behind: Behind, epochs: int, *, arrives: int = 0, takes: int = 0) -> str:
        """Why the stream left real time within so many epochs, if it did."""
        for _ in range(epochs):
            self.now_s += self.each_s
            took = min(takes, self.written - self.read)
            self.written += arrives
            self.read += took
            self.empty = 0 if took else self.empty + 1
            self.committed += 1
            for _ in range(3):
                if why := behind.look(self.committed, self.empty):
                    return why
        return ""


def test_epochs_that_take_nothing_though_messages_wait_are_noticed_within_four() -> None:
    flow = Flow(each_s=11)
    assert flow.passes(flow.behind(), 4, arrives=5) == (
        "what waited 2 epochs ago is not read, and epochs of 5 s take 11 s"
    )


def test_slow_epochs_that_take_less_than_comes_are_noticed() -> None:
    flow = Flow(each_s=11)
    assert flow.passes(flow.behind(), 20, arrives=50, takes=20)


def test_slow_epochs_that_take_all_are_good_enough() -> None:
    flow = Flow(each_s=11)
    assert not flow.passes(flow.behind(), 20, arrives=50, takes=100)


def test_a_backlog_that_is_read_all_the_time_is_no_reason() -> None:
    flow = Flow(written=1_000_000)
    assert (flow.passes(flow.behind(), 20, takes=1_000), flow.asked) == ("", 0)


def test_a_quiet_topic_is_no_reason() -> None:
    flow = Flow()
    assert not flow.passes(flow.behind(), 20)


def test_who_wants_micro_batches_has_them() -> None:
    stage = Stage(slots=9)
    modes = stage.modes(Mode.MICRO_BATCH)
    modes.settle(stage.wait)
    assert (stage.passes(modes, 100), modes.mode, stage.looks) == ([], Mode.MICRO_BATCH, 0)
