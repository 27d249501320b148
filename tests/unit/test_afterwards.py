"""Who gets the processor when: what starts after others, and what is done when nothing is waited for."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from penstock.launcher.afterwards import CALM_S, Afterwards
from penstock.launcher.home import Home
from penstock.launcher.process import MARKER, is_of
from penstock.launcher.service import Service
from penstock.launcher.state import Phase, RecordedService
from penstock.launcher.state_store import StateStore
from penstock.servers.archives import Archive, make
from tests.waiting import until

NOTE = "import json, os, sys; print(json.dumps([sys.argv[1], os.nice(0), os.getsid(0) == os.getpid()]))"


class Clock:
    """A clock that a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.make()
    return home


def command(word: str) -> tuple[str, ...]:
    return (sys.executable, "-c", NOTE, word)


def written(home: Home) -> list[str]:
    return home.log("supervisor").read_text("utf-8").splitlines()


def end(afterwards: Afterwards) -> None:
    """Returns when what runs has ended, and was seen to."""
    until(lambda: all(one.status() == psutil.STATUS_ZOMBIE for one in psutil.Process().children()))
    afterwards.look(ready=True)


def test_a_command_runs_once_everything_was_ready_for_a_while(home: Home) -> None:
    clock = Clock()
    afterwards = Afterwards([command("one"), (), command("one")], home, clock)
    afterwards.look(ready=False)
    clock.now_s += CALM_S
    afterwards.look(ready=True)  # ready now for the first time
    clock.now_s += CALM_S - 1
    afterwards.look(ready=True)
    assert not home.log("supervisor").exists()
    clock.now_s += 1
    for _ in range(3):
        afterwards.look(ready=True)
    end(afterwards)
    assert written(home) == ['["one", 19, true]']


def test_what_is_not_ready_any_more_begins_the_wait_anew(home: Home) -> None:
    clock = Clock()
    afterwards = Afterwards([command("one")], home, clock)
    for ready in (True, False, True):
        afterwards.look(ready=ready)
        clock.now_s += CALM_S - 1
    assert not home.log("supervisor").exists()


def test_two_commands_run_one_after_the_other(home: Home) -> None:
    clock = Clock()
    gate = home.path / "gate"
    waiting = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
    afterwards = Afterwards([(sys.executable, "-c", waiting), command("two")], home, clock)
    afterwards.look(ready=True)
    clock.now_s += CALM_S
    afterwards.look(ready=True)
    afterwards.look(ready=True)
    [first] = psutil.Process().children()
    assert until(lambda: is_of(first.environ().get(MARKER, ""), home.path))  # so that `down` ends it
    assert written(home) == []
    gate.touch()
    end(afterwards)
    end(afterwards)
    assert written(home) == ['["two", 19, true]']


# What starts later


def recorded(name: str, phase: Phase) -> RecordedService:
    nowhere = Path("nowhere")
    declared = Service(name, ("true",), nowhere, probe=lambda: None, folder=nowhere)
    return RecordedService.of(declared).model_copy(update={"phase": phase})


@pytest.mark.parametrize(
    ("phases", "over"),
    [
        ({}, True),
        ({"first": Phase.WAITING}, False),
        ({"first": Phase.STARTING, "other": Phase.READY}, False),
        ({"first": Phase.READY, "other": Phase.STARTING}, True),
        ({"first": Phase.RESTARTING}, True),
        ({"first": Phase.FAILED}, True),
        # What `first` needs, perhaps: it will never start.
        ({"first": Phase.WAITING, "other": Phase.FAILED}, True),
    ],
)
def test_a_start_comes_after_that_of_others_unless_something_failed(
    home: Home, phases: dict[str, Phase], *, over: bool
) -> None:
    async def begun() -> bool:
        states = StateStore(home, {})
        states.post([recorded(name, phase) for name, phase in phases.items()], 1)
        waiting = asyncio.create_task(states.until_begun(["first"]))
        await asyncio.sleep(0)
        waiting.cancel()
        return waiting.done()

    assert asyncio.run(begun()) is over


# Archives of classes, which are made afterwards


def test_of_lists_that_are_half_written_nothing_is_made(tmp_path: Path) -> None:
    """And Java is not called, which there is none of here."""
    loaded = tmp_path / "run" / "kafka" / "kafka.classes"
    loaded.parent.mkdir(parents=True)
    loaded.write_text("# NOTE: Do not modify this file.\njava/lang/Obj", "utf-8")
    archive = Archive("kafka", tmp_path / "cache", tmp_path, (), tmp_path / "run")
    make(archive)
    assert not archive.file.exists()
