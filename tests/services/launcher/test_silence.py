"""A server that was ready and hangs: shown, waited for, and restarted after the configured silence."""

import signal
from datetime import UTC, datetime
from typing import Any

import pytest
from tiny_launcher import Declare, Launcher

from penstock.errors import ServiceError
from penstock.launcher.control import StackState
from penstock.launcher.process import Process
from tests.waiting import until

OFTEN: dict[str, Any] = {"probe_every_s": 0.1, "answer_timeout_s": 0.5}


def hang(launcher: Launcher, name: str) -> Process:
    """Stops the server, and returns once that is known."""
    process = launcher.process(name)
    process.send(signal.SIGSTOP)
    until(lambda: launcher.phase(name) == "not answering")
    return process


def test_a_server_that_hangs_is_told_and_so_is_that_it_answers_again(launcher: Launcher, tiny: Declare) -> None:
    launcher.restarts_after(0)
    tiny("one", **OFTEN)
    before = datetime.now(UTC)
    launcher.up()
    process = hang(launcher, "one")
    one = launcher.status().service("one")
    assert one.silent_since is not None
    assert before < one.silent_since < datetime.now(UTC)
    assert one.error == "one does not answer: timed out"
    with pytest.raises(ServiceError, match=rf"Process {process.pid} runs and has not answered since .*silence_s = 0"):
        launcher.up()
    process.send(signal.SIGCONT)
    until(lambda: launcher.phase("one") == "ready")
    one = launcher.status().service("one")
    assert (one.silent_since, one.restarts, one.pid) == (None, 0, process.pid)


def test_a_silent_server_is_stopped_gently_and_started_again(launcher: Launcher, tiny: Declare) -> None:
    launcher.restarts_after(1)
    tiny("one", **OFTEN)
    launcher.up()
    launcher.process("one").send(signal.SIGSTOP)
    until(lambda: launcher.count("one started") == 2 and launcher.phase("one") == "ready")
    assert launcher.journal() == ["one started", "one stopped", "one started"]
    one = launcher.status().service("one")
    assert one.restarts == 1
    assert "one did not answer for" in one.error
    assert "timed out" in one.error
    assert one.error in launcher.home.log("supervisor").read_text()


def test_what_needs_a_silent_server_is_not_restarted_with_it(launcher: Launcher, tiny: Declare) -> None:
    launcher.restarts_after(3)
    below = tiny("below", **OFTEN)
    tiny("above", needs=("below",), asks=below.port, **OFTEN)
    launcher.up()
    above = launcher.process("above")
    launcher.process("below").send(signal.SIGSTOP)
    until(lambda: launcher.count("below started") == 2 and launcher.status().ready)
    assert launcher.process("above") == above
    assert launcher.status().service("above").restarts == 0


def test_up_waits_for_a_server_that_does_not_answer(launcher: Launcher, tiny: Declare) -> None:
    tiny("below", **OFTEN)
    tiny("above", needs=("below",))
    launcher.up("below")
    process = hang(launcher, "below")
    with launcher.rising():
        until(lambda: [one.state for one in launcher.status().services] == ["not answering", "waiting"])
        process.send(signal.SIGCONT)
    assert isinstance(launcher.outcome, StackState)
    assert launcher.outcome.ready
    assert launcher.journal() == ["below started", "above started"]


def test_a_new_supervisor_adopts_a_server_that_was_silent(launcher: Launcher, tiny: Declare) -> None:
    tiny("one", **OFTEN)
    launcher.up()
    process = hang(launcher, "one")
    launcher.kill_supervisor()
    process.send(signal.SIGCONT)
    until(lambda: launcher.status().supervisor_pid and launcher.status().ready)
    assert launcher.process("one") == process
