"""Stopping: gently, then hard, in the right order, and everything."""

import signal

import pytest
from tiny_launcher import Declare, Launcher, process_in

from penstock.errors import ServiceError
from penstock.launcher import control
from tests.waiting import until


def test_down_stops_gently(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    state = launcher.down()
    assert launcher.journal() == ["one started", "one stopped"]
    assert (state.supervisor_pid, state.service("one").state) == (None, "stopped")


def test_settings_lie_in_the_home_for_as_long_as_the_stack_runs(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    assert [file.name for file in launcher.home.settings.iterdir()] == ["supervisor.json"]
    launcher.down()
    assert not launcher.home.settings.exists()


def test_down_stops_last_what_others_need(launcher: Launcher, tiny: Declare) -> None:
    tiny("below")
    tiny("above", needs=("below",))
    tiny("top", needs=("above",))
    launcher.up()
    launcher.down()
    assert launcher.journal()[3:] == ["top stopped", "above stopped", "below stopped"]


def test_down_kills_what_does_not_listen(launcher: Launcher, tiny: Declare) -> None:
    tiny("deaf", options=("--ignore-term",), stop_timeout_s=0.3)
    launcher.up()
    deaf = launcher.process("deaf")
    launcher.down()
    assert not deaf.alive()
    assert "deaf stopped" not in launcher.journal()


@pytest.mark.parametrize("environment", [(), ("--clean-grandchild",)], ids=["marked", "unmarked"])
def test_down_finds_grandchildren_in_sessions_of_their_own(
    launcher: Launcher, tiny: Declare, environment: tuple[str, ...]
) -> None:
    left_by = launcher.file("grandchild")
    tiny("one", options=("--grandchild", str(left_by), *environment))
    launcher.up()
    grandchild = process_in(left_by)
    assert grandchild.alive()
    launcher.down()
    assert not grandchild.alive()


def test_down_in_the_middle_of_a_start(launcher: Launcher, tiny: Declare) -> None:
    tiny("slow", options=("--ready-when", str(launcher.file("never"))))
    tiny("waiting", needs=("slow",))
    with launcher.rising():
        until(lambda: launcher.journal() == ["slow started"])
        launcher.down()
    assert isinstance(launcher.outcome, ServiceError)
    assert "the supervisor ended" in str(launcher.outcome)
    assert launcher.left() == []


def test_down_in_the_middle_of_a_preparation(launcher: Launcher, tiny: Declare) -> None:
    began = launcher.file("began")
    tiny("one", prepare=("sh", "-c", f"touch {began}; exec sleep 600"))
    with launcher.rising():
        until(began.exists)
        launcher.down()
    assert launcher.left() == []


def test_a_supervisor_that_is_told_to_end_stops_everything(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    supervisor = launcher.supervisor()
    supervisor.send(signal.SIGTERM)
    until(lambda: not supervisor.alive())
    assert launcher.left() == []
    assert launcher.phase("one") == "stopped"


def test_down_of_nothing_is_no_error(launcher: Launcher) -> None:
    assert launcher.down().services == ()
    assert not launcher.home.path.exists()


def test_delete_data_removes_data_logs_and_state_and_keeps_secrets(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    (launcher.home.path / "data").mkdir()
    (launcher.home.path / "secrets.json").touch()
    control.down(launcher.settings, delete_data=True)
    assert sorted(entry.name for entry in launcher.home.path.iterdir()) == [".penstock-home", "secrets.json"]


def test_up_after_delete_data_starts_anew(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    control.down(launcher.settings, delete_data=True)
    assert launcher.up().ready
