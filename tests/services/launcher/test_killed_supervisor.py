"""Supervisor and watchdog may be killed at once: the servers run on, and the next `up` finds them."""

import shutil
import signal

from tiny_launcher import Declare, Launcher

from tests.waiting import until


def test_servers_run_on_and_status_says_that_nobody_watches(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    launcher.kill_both()
    state = launcher.status()
    assert (state.supervisor_pid, state.service("one").state) == (None, "ready")


def test_status_says_what_died_unwatched(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    one = launcher.process("one")
    launcher.kill_both()
    one.send(signal.SIGKILL)
    until(lambda: not one.alive())
    assert launcher.phase("one") == "lost"
    assert launcher.status().service("one").pid is None


def test_the_next_up_adopts_what_lives_and_starts_what_does_not(launcher: Launcher, tiny: Declare) -> None:
    tiny("lives")
    tiny("dies")
    launcher.up()
    lives, dies = launcher.process("lives"), launcher.process("dies")
    launcher.kill_both()
    dies.send(signal.SIGKILL)
    until(lambda: not dies.alive())
    assert launcher.up().ready
    assert launcher.process("lives") == lives
    assert launcher.count("dies started") == 2


def test_an_adopted_server_is_watched_like_any_other(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    launcher.kill_both()
    launcher.up()
    launcher.process("one").send(signal.SIGKILL)
    until(lambda: launcher.count("one started") == 2 and launcher.phase("one") == "ready")
    assert launcher.status().service("one").error == "one died"


def test_up_adopts_a_server_that_was_still_starting(launcher: Launcher, tiny: Declare) -> None:
    gate = launcher.file("gate")
    tiny("slow", options=("--ready-when", str(gate)))
    with launcher.rising():
        until(lambda: launcher.journal() == ["slow started"] and launcher.status().service("slow").pid)
        launcher.kill_both()
    with launcher.rising():
        until(lambda: launcher.status().supervisor_pid)
        gate.touch()
    assert launcher.status().ready
    assert launcher.journal() == ["slow started"]


def test_what_does_not_answer_its_new_supervisor_is_replaced(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    one = launcher.process("one")
    launcher.kill_both()
    one.send(signal.SIGSTOP)
    assert launcher.up().ready
    assert not one.alive()


def test_up_with_other_settings_does_not_adopt(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    one = launcher.process("one")
    launcher.kill_both()
    launcher.settings = launcher.settings.model_copy(update={"java_home": "/elsewhere"})
    assert launcher.up().ready
    assert not one.alive()


def test_up_of_one_service_keeps_the_others(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    tiny("two")
    launcher.up()
    launcher.kill_both()
    launcher.up("one")
    assert launcher.status().ready
    assert launcher.count("two started") == 1


def test_down_stops_gently_what_nobody_watches(launcher: Launcher, tiny: Declare) -> None:
    tiny("below")
    tiny("above", needs=("below",))
    launcher.up()
    launcher.kill_both()
    launcher.down()
    assert launcher.left() == []
    assert launcher.journal()[2:] == ["above stopped", "below stopped"]


def test_down_finds_what_was_started_and_not_recorded(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    launcher.kill_both()
    launcher.home.state.write_text("cut sho")
    launcher.down()
    assert launcher.left() == []


def test_up_after_a_lost_record_starts_anew(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    one = launcher.process("one")
    launcher.kill_both()
    launcher.home.state.unlink()
    assert launcher.up().ready
    assert not one.alive()


def test_down_finds_everything_after_the_home_was_deleted(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    shutil.rmtree(launcher.home.path)
    launcher.down()
    assert launcher.left() == []
