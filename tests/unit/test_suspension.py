"""Everything of a home suspended: real processes, that write while they may."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from penstock.errors import ServiceError
from penstock.launcher.home import Home
from penstock.launcher.process import MARKER, owner
from penstock.launcher.suspension import suspended
from tests.waiting import until

WRITER = """
import sys, time
from pathlib import Path
while True:
    with Path(sys.argv[1]).open("a") as file:
        file.write("x")
    time.sleep(0.001)
"""
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""
HOLDER = """
import sys
from pathlib import Path
from penstock.launcher.home import Home
from penstock.launcher.suspension import suspended
with suspended(Home(Path(sys.argv[1]))) as count:
    print(count, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.make()
    return home


@contextmanager
def running(home: Home, *command: str, service: str = "kafka") -> Iterator[subprocess.Popen[bytes]]:
    given = {**os.environ, MARKER: owner(service, home.path)}
    process = subprocess.Popen([sys.executable, "-c", *command], env=given, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def grows(file: Path) -> None:
    before = size(file)
    until(lambda: size(file) > before, f"nobody writes {file}")


def states(pid: int) -> set[str]:
    return {psutil.Process(pid).status()}


def test_nothing_of_the_home_writes_until_it_may_again(home: Home, tmp_path: Path) -> None:
    """Nor does a child of a service, in which nothing tells whose it is."""
    file, other = tmp_path / "own", tmp_path / "other"
    strange = Home(tmp_path / "strange")
    with running(home, PARENT, WRITER, str(file)) as ours, running(strange, WRITER, str(other)):
        grows(file)
        with suspended(home) as count:
            before = size(file)
            grows(other)
            grows(other)
            assert size(file) == before
            assert count == 2
            assert states(ours.pid) == {psutil.STATUS_STOPPED}
        grows(file)


def test_all_go_on_where_the_block_fails(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "own"
    with running(home, WRITER, str(file)):
        grows(file)
        with pytest.raises(ZeroDivisionError), suspended(home):
            _ = 1 / 0
        grows(file)


def test_all_go_on_where_the_process_that_suspends_is_killed(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "own"
    with running(home, WRITER, str(file)) as ours:
        grows(file)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with holder:
            assert holder.stdout
            assert holder.stdout.readline() == "1\n"
            assert states(ours.pid) == {psutil.STATUS_STOPPED}
            holder.kill()
        grows(file)


def test_a_home_in_which_nothing_ever_ran_has_nothing_to_suspend(tmp_path: Path) -> None:
    with suspended(Home(tmp_path / "nowhere")) as count:
        assert count == 0
    assert not (tmp_path / "nowhere").exists()


def test_a_server_that_nobody_recorded_is_named(home: Home, tmp_path: Path) -> None:
    """As `penstock serve` becomes one: without the marker, but with the home in its command."""
    program = tmp_path / "java"
    program.symlink_to(sys.executable)
    server = subprocess.Popen([str(program), "-c", "input()", f"{home.path}/data/kafka"], stdin=subprocess.PIPE)
    with server:
        try:
            until(lambda: psutil.Process(server.pid).name() == "java", "the server's name")
            with pytest.raises(ServiceError, match=rf"process {server.pid} \(java\) works in"), suspended(home):
                pass
        finally:
            server.kill()
