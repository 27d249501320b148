"""Commands that are interrupted, and commands that run at the same time."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_launcher import TIMEOUT_S, Declare, Launcher

from penstock.config import child_environment, pipeline_environment
from tests.waiting import until

Command = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def command(launcher: Launcher) -> Iterator[Command]:
    """Runs `up` as a command of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def run() -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("up_command.py")
        environment = child_environment({**pipeline_environment(launcher.settings), **launcher.settings.environment()})
        started.append(subprocess.Popen([sys.executable, str(script)], env=environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_ctrl_c_stops_what_was_started(launcher: Launcher, tiny: Declare, command: Command) -> None:
    tiny("slow", options=("--ready-when", str(launcher.file("never"))))
    process = command()
    until(lambda: launcher.journal() == ["slow started"])
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 130
    assert launcher.left() == []


def test_ctrl_c_at_once_leaves_nothing(launcher: Launcher, tiny: Declare, command: Command) -> None:
    tiny("one", options=("--ready-when", str(launcher.file("never"))))
    process = command()
    until(launcher.home.up_lock.exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 130
    until(lambda: launcher.left() == [])


def test_a_second_ctrl_c_leaves_no_orphan(launcher: Launcher, tiny: Declare, command: Command) -> None:
    tiny("deaf", options=("--ignore-term", "--ready-when", str(launcher.file("never"))), stop_timeout_s=1)
    process = command()
    until(lambda: launcher.journal() == ["deaf started"])
    process.send_signal(signal.SIGINT)
    until(lambda: launcher.phase("deaf") in ("stopping", "stopped"))  # the former for a second only
    process.send_signal(signal.SIGINT)
    process.wait(TIMEOUT_S)
    until(lambda: launcher.left() == [])


def test_ctrl_c_leaves_what_ran_before(launcher: Launcher, tiny: Declare, command: Command) -> None:
    tiny("before")
    launcher.up()
    tiny("after", options=("--ready-when", str(launcher.file("never"))))
    launcher.kill_both()
    launcher.up("before")
    process = command()
    until(lambda: launcher.count("after started") == 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 130
    assert [(one.name, one.state) for one in launcher.status().services] == [("before", "ready")]
    assert launcher.count("before started") == 1


def test_two_at_once_start_everything_once(launcher: Launcher, tiny: Declare, command: Command) -> None:
    tiny("one")
    tiny("two")
    first, second = command(), command()
    assert (first.wait(TIMEOUT_S), second.wait(TIMEOUT_S)) == (0, 0)
    assert sorted(launcher.journal()) == ["one started", "two started"]


def test_ctrl_c_of_a_follower_leaves_the_first_alone(launcher: Launcher, tiny: Declare, command: Command) -> None:
    gate = launcher.file("gate")
    tiny("slow", options=("--ready-when", str(gate)))
    with launcher.rising():
        until(lambda: launcher.journal() == ["slow started"])
        request = launcher.home.request.read_text()
        follower = command()
        until(lambda: launcher.home.request.read_text() != request)
        follower.send_signal(signal.SIGINT)
        assert follower.wait(TIMEOUT_S) == 130
        gate.touch()
    assert launcher.status().ready


def test_up_killed_hard_goes_on_in_the_background(launcher: Launcher, tiny: Declare, command: Command) -> None:
    gate = launcher.file("gate")
    tiny("slow", options=("--ready-when", str(gate)))
    process = command()
    until(lambda: launcher.journal() == ["slow started"])
    process.kill()
    gate.touch()
    assert launcher.up().ready
    assert launcher.count("slow started") == 1


def test_only_one_supervisor_lives_in_a_home(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    second = subprocess.run(
        [sys.executable, "-m", "penstock.launcher.supervisor", "--services", "tiny_stack:stack"],
        env=child_environment(launcher.settings.environment()),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert second.returncode == 9
    assert f"process {launcher.supervisor().pid} already supervises" in second.stderr
