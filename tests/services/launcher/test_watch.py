"""What can be seen of a running stack: its logs, its memory, its weight."""

import os
from itertools import islice

import psutil
import pytest
from tiny_launcher import Declare, Launcher

from penstock.errors import ServiceError
from penstock.launcher import control
from penstock.launcher.logs import ROTATE_ABOVE_BYTES
from tests.waiting import until

MIB = 1024 * 1024


def test_a_log_holds_what_the_server_wrote(launcher: Launcher, tiny: Declare) -> None:
    tiny("one", options=("--say", "hello"))
    launcher.up()
    assert control.tail(launcher.settings, "one", 5) == ["hello"]
    assert list(islice(control.follow(launcher.settings, "one", 5), 1)) == ["hello"]


def test_an_unknown_log_names_those_there_are(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    with pytest.raises(ServiceError, match=r"no log of 'two' in .*; there are one, supervisor"):
        control.tail(launcher.settings, "two", 5)


def test_the_supervisor_keeps_logs_small(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    log = launcher.home.log("one")
    os.truncate(log, ROTATE_ABOVE_BYTES + 1)
    until(lambda: log.stat().st_size == 0)
    assert log.with_name("one.log.1").stat().st_size == ROTATE_ABOVE_BYTES + 1


def test_memory_counts_the_whole_tree(launcher: Launcher, tiny: Declare) -> None:
    tiny("alone")
    tiny("parent", options=("--grandchild", str(launcher.file("grandchild"))))
    launcher.up()
    state = control.status(launcher.settings)
    alone, parent = (state.service(name).memory_pss_bytes for name in ("alone", "parent"))
    assert alone is not None
    assert parent is not None
    assert parent > alone > MIB


def test_the_supervisor_is_light(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    assert psutil.Process(launcher.supervisor().pid).memory_info().rss < 60 * MIB


def test_status_is_json_for_scripts(launcher: Launcher, tiny: Declare) -> None:
    server = tiny("one")
    launcher.up()
    state = control.StackState.model_validate_json(control.status(launcher.settings).to_json())
    assert dict(state.service("one").ports) == {"main": server.port}


def test_the_home_is_for_its_owner_only(launcher: Launcher, tiny: Declare) -> None:
    tiny("one")
    launcher.up()
    assert launcher.home.path.stat().st_mode & 0o777 == 0o700
