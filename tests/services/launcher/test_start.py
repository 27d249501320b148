"""Starting: in order, side by side, and with plain words when it fails."""

import os
import socket

import pytest
from tiny_launcher import Declare, Launcher

from penstock.config import Settings
from penstock.errors import PortTakenError, ServiceError, ServiceExitedError, ServiceNotReadyError
from tests.waiting import until


def test_starts_side_by_side_what_needs_nothing(launcher: Launcher, tiny: Declare) -> None:
    gate = launcher.file("gate")
    tiny("left", options=("--ready-when", str(gate)))
    tiny("right", options=("--ready-when", str(gate)))
    with launcher.rising():
        until(lambda: sorted(launcher.journal()) == ["left started", "right started"])
        gate.touch()
    assert launcher.status().ready


def test_starts_a_service_only_when_what_it_needs_is_ready(launcher: Launcher, tiny: Declare) -> None:
    gate = launcher.file("gate")
    tiny("above", needs=("below",))
    tiny("below", options=("--ready-when", str(gate)))
    with launcher.rising():
        until(lambda: launcher.journal() == ["below started"])
        assert launcher.phase("above") == "waiting"
        gate.touch()
    assert launcher.journal() == ["below started", "above started"]


def test_who_is_waited_for_starts_first(launcher: Launcher, tiny: Declare) -> None:
    gate = launcher.file("gate")
    tiny("late", after=("early", "absent"))
    tiny("early", options=("--ready-when", str(gate)))
    with launcher.rising():
        until(lambda: launcher.journal() == ["early started"])
        assert launcher.phase("late") == "waiting"
        gate.touch()
    assert launcher.journal() == ["early started", "late started"]


def test_started_means_that_a_client_gets_an_answer(launcher: Launcher, tiny: Declare) -> None:
    server = tiny("one")
    state = launcher.up()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        assert client.recv(16) == b"ok"
    assert state.ready
    assert state.service("one").ready_after_s is not None


def test_starts_the_named_services_with_what_they_need(launcher: Launcher, tiny: Declare) -> None:
    tiny("below")
    tiny("above", needs=("below",))
    tiny("other")
    launcher.up("above")
    assert [service.name for service in launcher.status().services] == ["below", "above"]


def test_a_second_up_adds_services_to_those_that_run(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    tiny("two")
    launcher.up("one")
    before = launcher.pid("one")
    launcher.up("two")
    assert launcher.status().ready
    assert launcher.pid("one") == before


def test_up_of_what_is_ready_changes_nothing(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    first = launcher.up()
    assert launcher.up() == first


def test_death_before_readiness_shows_the_end_of_the_log(launcher: Launcher, tiny: Declare) -> None:
    tiny("bad", options=("--say", "no space left", "--exit-with", "7"))
    with pytest.raises(ServiceExitedError, match=r"bad ended with exit code 7(?s:.*)no space left"):
        launcher.up()


def test_the_log_shown_is_that_of_the_last_start(launcher: Launcher, tiny: Declare) -> None:
    launcher.home.make()
    launcher.home.log("bad").write_text("of yesterday\n")
    tiny("bad", options=("--exit-with", "7"))
    with pytest.raises(ServiceExitedError, match="it wrote nothing"):
        launcher.up()


def test_what_never_was_ready_is_not_restarted_until_asked(launcher: Launcher, tiny: Declare) -> None:
    broken = launcher.file("broken")
    broken.touch()
    tiny("bad", options=("--exit-with", "7", "--exit-when", str(broken)))
    with pytest.raises(ServiceExitedError):
        launcher.up()
    assert launcher.phase("bad") == "failed"
    assert launcher.count("bad started") == 1
    broken.unlink()
    assert launcher.up().ready


def test_one_failure_leaves_the_others_running(launcher: Launcher, tiny: Declare) -> None:
    tiny("bad", options=("--exit-with", "7"))
    tiny("good")
    with pytest.raises(ServiceExitedError):
        launcher.up()
    until(lambda: launcher.phase("good") == "ready")


def test_an_answer_that_is_not_the_right_one_in_time_fails_and_stops_it(launcher: Launcher, tiny: Declare) -> None:
    tiny("slow", options=("--ready-when", str(launcher.file("never"))), start_timeout_s=2)
    # On a busy machine it may not listen by then.
    last = r"(it said b'no'|.*refused)"
    with pytest.raises(ServiceNotReadyError, match=rf"slow runs but was not ready within 2 s; its last answer: {last}"):
        launcher.up()
    assert set(launcher.left()) == {launcher.supervisor().pid, launcher.watchdog().pid}


def test_a_taken_port_names_its_holder_and_nothing_was_started(launcher: Launcher, tiny: Declare) -> None:
    tiny("first")
    server = tiny("one", needs=("first",))
    with (
        socket.create_server(("127.0.0.1", server.port)),
        pytest.raises(PortTakenError, match=rf"one needs port {server.port}.*pid {os.getpid()}.*--port-offset \d00"),
    ):
        launcher.up()
    assert (launcher.journal(), launcher.left()) == ([], [])


def test_a_port_that_was_taken_since_the_look_stops_with_advice_that_is_taken(
    launcher: Launcher, tiny: Declare
) -> None:
    gate = launcher.file("gate")
    tiny("first", options=("--ready-when", str(gate)))
    server = tiny("one", needs=("first",))
    with launcher.rising():
        until(lambda: launcher.journal() == ["first started"])
        taken = socket.create_server(("127.0.0.1", server.port))
        gate.touch()
    with taken:
        assert isinstance(launcher.outcome, PortTakenError)
        said = str(launcher.outcome)
        assert "Stop this stack first: penstock down; the data stay. Give every command --port-offset" in said
        launcher.down()
        launcher.settings = Settings(
            home=launcher.settings.home, stack=launcher.settings.stack, port_offset=300
        ).resolved()
        assert launcher.up("first").ready


def test_a_preparation_that_fails_fails_its_service(launcher: Launcher, tiny: Declare) -> None:
    tiny("one", prepare=("false",))
    with pytest.raises(ServiceError, match="one could not be prepared: CalledProcessError"):
        launcher.up()


def test_up_with_other_settings_says_which_changed(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    heaps = launcher.settings.heaps.model_copy(update={"kafka": "999m"})
    launcher.settings = launcher.settings.model_copy(update={"heaps": heaps})
    with pytest.raises(ServiceError, match=r"PENSTOCK_HEAPS_KAFKA changed.*penstock down"):
        launcher.up()


def test_a_limit_for_all_names_what_is_late(launcher: Launcher, tiny: Declare) -> None:
    tiny("slow", options=("--ready-when", str(launcher.file("never"))))
    with pytest.raises(ServiceError, match="slow not ready within 0 s"):
        launcher.up(timeout_s=0.2)


def test_a_supervisor_that_cannot_start_shows_why(launcher: Launcher, tiny: Declare) -> None:
    from penstock.launcher import control

    tiny("one")
    with pytest.raises(ServiceError, match=r"did not start(?s:.*)'no_such:thing' cannot be imported"):
        control.up(launcher.settings, (), reference="no_such:thing")
    # Nor is it on record: another `up` might take it for one that works while it ends.
    assert not launcher.home.supervisor.exists()


def test_tells_every_change_to_whoever_follows(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    seen: list[str] = []
    launcher.up(on_change=lambda state: seen.append(state.service("one").state))
    assert seen[-1] == "ready"
