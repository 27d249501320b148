"""A killed supervisor comes back by itself, and so does a killed watchdog; `down` ends both."""

import signal

import psutil
from tiny_launcher import Declare, Launcher

from penstock.launcher.control import StackState
from penstock.launcher.process import Process
from tests.waiting import until


def comes_back(launcher: Launcher, killed: Process) -> None:
    until(lambda: launcher.status().supervisor_pid not in (None, killed.pid))
    until(lambda: launcher.status().ready)


def test_a_killed_supervisor_comes_back_and_adopts(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    one, killed = launcher.process("one"), launcher.supervisor()
    launcher.kill_supervisor()
    comes_back(launcher, killed)
    assert launcher.process("one") == one
    one.send(signal.SIGKILL)
    until(lambda: launcher.count("one started") == 2 and launcher.phase("one") == "ready")


def test_it_comes_back_however_often_it_is_killed(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    for _ in range(3):
        killed = launcher.supervisor()
        launcher.kill_supervisor()
        comes_back(launcher, killed)
        assert launcher.watchdog().pid not in (killed.pid, launcher.supervisor().pid)
    assert launcher.journal() == ["one started"]


def test_a_killed_watchdog_is_replaced(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    killed, supervisor = launcher.watchdog(), launcher.supervisor()
    killed.send(signal.SIGKILL)
    until(lambda: launcher.status().watchdog_pid not in (None, killed.pid))
    assert launcher.supervisor() == supervisor
    launcher.kill_supervisor()
    comes_back(launcher, supervisor)


def test_supervisor_and_all_servers_killed_at_once_come_back(launcher: Launcher, tiny: Declare) -> None:
    tiny("below")
    tiny("above", needs=("below",))
    launcher.up()
    killed = launcher.supervisor()
    for process in (killed, launcher.process("above"), launcher.process("below")):
        process.send(signal.SIGKILL)
    comes_back(launcher, killed)
    assert [launcher.status().service(name).restarts for name in ("below", "above")] == [1, 1]


def test_what_was_ready_is_started_again_however_often_that_fails(launcher: Launcher, tiny: Declare) -> None:
    spoiled = launcher.file("spoiled")
    tiny("one", options=("--exit-with", "4", "--exit-when", str(spoiled)))
    launcher.up()
    spoiled.touch()
    one = launcher.process("one")
    launcher.kill_supervisor()
    one.send(signal.SIGKILL)
    until(lambda: launcher.count("one started") > 2)
    spoiled.unlink()
    until(lambda: launcher.status().ready)


def test_up_goes_on_while_the_supervisor_is_replaced(launcher: Launcher, tiny: Declare) -> None:
    gate = launcher.file("gate")
    tiny("slow", options=("--ready-when", str(gate)))
    with launcher.rising():
        until(lambda: launcher.journal() == ["slow started"] and launcher.watchdog())
        launcher.kill_supervisor()
        gate.touch()
    assert isinstance(launcher.outcome, StackState)
    assert launcher.outcome.ready


def test_down_right_after_the_kill_leaves_nothing(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    launcher.watchdog()
    launcher.kill_supervisor()
    launcher.down()
    assert launcher.left() == []
    assert launcher.status().watchdog_pid is None


def test_a_supervisor_that_ends_by_itself_stays_away(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    watchdog, supervisor = launcher.watchdog(), launcher.supervisor()
    supervisor.send(signal.SIGTERM)
    until(lambda: not supervisor.alive() and not watchdog.alive())
    assert launcher.left() == []
    assert launcher.status().supervisor_pid is None


def test_the_watchdog_is_light(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    assert psutil.Process(launcher.watchdog().pid).memory_info().rss < 5 * 1024 * 1024
