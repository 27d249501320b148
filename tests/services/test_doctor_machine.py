"""The doctor on a machine that is broken for real: disks that are full or forbid execution, a stack that was killed."""

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from penstock.config import Settings
from penstock.doctor import Grade, machine
from penstock.doctor.ports import leftovers
from penstock.launcher import control
from penstock.launcher.home import Home
from rig.stacks import processes_of, start
from tests.disks import filled, small_disk


def test_folder_for_temporary_files_that_forbids_execution(tmp_path: Path) -> None:
    with small_disk(tmp_path / "tmp", 1, "noexec"):
        found = machine.executable_tmp(str(tmp_path / "tmp"))
        assert (found.grade, [*(tmp_path / "tmp").iterdir()]) == (Grade.FAILED, [])
    assert found.fix == f"Allow it: mount -o remount,exec {tmp_path / 'tmp'}"
    assert machine.executable_tmp(str(tmp_path)).grade is Grade.OK


def test_home_on_a_full_disk(settings: Settings, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, 8), filled(disk, but_mib=0):
        home, cache = machine.folders(settings.model_copy(update={"home": disk / "home"}), needed_bytes=2**20)
    assert (home.grade, cache.grade) == (Grade.FAILED, Grade.OK)
    assert "PENSTOCK_HOME" in home.fix


@pytest.fixture
def killed(settings: Settings) -> Iterator[Settings]:
    """Settings of a stack of which one server runs, and nobody watches it."""
    try:
        start(settings, "simulator")
        state = control.status(settings, memory=False)
        supervisor, watchdog = psutil.Process(state.supervisor_pid), psutil.Process(state.watchdog_pid)
        supervisor.suspend()  # it would replace its watchdog
        for process in (watchdog, supervisor):
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs((watchdog, supervisor))
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


def test_server_whose_supervisor_was_killed(killed: Settings) -> None:
    found = leftovers(killed)
    assert (found.grade, found.what) == (Grade.FAILED, "without a supervisor, which was killed: simulator")
    start(killed, "simulator")
    assert leftovers(killed).grade is Grade.OK


def test_process_that_nobody_knows_of(killed: Settings) -> None:
    pid = control.status(killed, memory=False).service("simulator").pid
    Home(killed.home).state.unlink()
    found = leftovers(killed)
    assert (found.grade, found.fix) == (Grade.FAILED, "penstock down ends them")
    assert found.what.startswith(f"processes {pid} carry ")
