"""What was healthy and died comes back, and pulls nothing else down."""

import signal
from collections.abc import Callable

import pytest
from tiny_launcher import Declare, Launcher, process_in

from penstock.errors import ServiceError
from penstock.launcher.restart import restart
from tests.waiting import until


def test_what_died_is_started_again_and_counted(launcher: Launcher, tiny: Declare) -> None:
    die = launcher.file("die")
    tiny("one", options=("--die-when", str(die)))
    launcher.up()
    die.touch()
    until(lambda: launcher.count("one started") == 2 and launcher.phase("one") == "ready")
    one = launcher.status().service("one")
    assert (one.restarts, one.error) == (1, "one ended with exit code 3")


def test_what_was_killed_is_started_again(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    first = launcher.process("one")
    first.send(signal.SIGKILL)
    until(lambda: launcher.status().service("one").restarts == 1 and launcher.status().ready)
    assert launcher.process("one") != first


def test_a_restart_that_fails_is_tried_again(launcher: Launcher, tiny: Declare) -> None:
    broken = launcher.file("broken")
    tiny("one", options=("--exit-with", "7", "--exit-when", str(broken)))
    launcher.up()
    broken.touch()
    launcher.process("one").send(signal.SIGKILL)
    until(lambda: launcher.status().service("one").restarts >= 2)
    assert "did not start again" in launcher.status().service("one").error
    broken.unlink()
    until(lambda: launcher.phase("one") == "ready")


def test_a_port_taken_in_between_is_told_and_waited_for(
    launcher: Launcher, tiny: Declare, hold: Callable[[int], Callable[[], None]]
) -> None:
    server = tiny("one")
    launcher.up()
    supervisor = launcher.supervisor()
    supervisor.send(signal.SIGSTOP)  # else it might be the first at the port
    launcher.process("one").send(signal.SIGKILL)
    release = hold(server.port)
    supervisor.send(signal.SIGCONT)
    until(lambda: "held by" in launcher.status().service("one").error)
    release()
    until(lambda: launcher.phase("one") == "ready")


def test_a_service_outlives_what_it_needs(launcher: Launcher, tiny: Declare) -> None:
    tiny("below")
    tiny("above", needs=("below",))
    launcher.up()
    above = launcher.process("above")
    launcher.process("below").send(signal.SIGKILL)
    until(lambda: launcher.count("below started") == 2 and launcher.status().ready)
    assert launcher.process("above") == above


def test_what_a_dead_server_left_is_ended_before_its_restart(launcher: Launcher, tiny: Declare) -> None:
    left_by = launcher.file("grandchild")
    tiny("one", options=("--grandchild", str(left_by)))
    launcher.up()
    grandchild = process_in(left_by)
    launcher.process("one").send(signal.SIGKILL)
    until(lambda: launcher.count("one started") == 2)
    assert not grandchild.alive()


def test_up_waits_for_a_restart_under_way(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    killed = launcher.process("one")
    killed.send(signal.SIGKILL)
    until(lambda: not killed.alive())
    assert launcher.up().service("one").restarts == 1


def test_a_group_is_ended_in_order_and_started_anew(launcher: Launcher, tiny: Declare) -> None:
    tiny("below")
    tiny("above", needs=("below",))
    tiny("absent")
    launcher.up("above")
    before = {name: launcher.process(name) for name in ("above", "below")}
    assert restart(launcher.settings, ["above", "absent", "below"]) == ["above", "below"]
    assert launcher.status().ready
    assert not any(launcher.process(name) == process for name, process in before.items())
    assert [line for line in launcher.journal() if line.endswith("stopped")] == ["above stopped", "below stopped"]


def test_one_that_is_on_its_way_up_is_started_anew_as_well(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    launcher.process("one").send(signal.SIGKILL)
    assert restart(launcher.settings, ["one"]) == ["one"]
    assert launcher.status().ready


def test_nobody_waits_for_a_restart_when_nobody_is_left_to_do_it(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    launcher.kill_both()
    with pytest.raises(ServiceError, match="nobody watches"):
        restart(launcher.settings, ["one"], timeout_s=30)
