"""Plays parts beside one another, one for each processor, and attempts a single failed test once more."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts.catalogue import Part

_TELL_EVERY_S = 60
_ERROR_CHARACTERS = 120


@dataclass(frozen=True)
class Outcome:
    """What came of one part. `output` is what it printed."""

    part: Part
    exit_code: int
    seconds: float
    output: Path
    failed: tuple[str, ...] = ()
    """The tests of pytest that failed."""

    @property
    def passed(self) -> bool:
        return self.exit_code == 0


class Stage:
    """Runs parts from `root`, where pytest finds its settings; `folder` keeps their output.

    At most two run at once, and no more than there are processors for us.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.folder = folder
        self.lanes = min(2, len(os.sched_getaffinity(0)))
        folder.mkdir(parents=True, exist_ok=True)

    def play(self, parts: Sequence[Part]) -> Iterator[Outcome]:
        """Each part's outcome as soon as it is over; says every minute what runs."""
        began_s: dict[str, float] = {}

        def timed(part: Part) -> Outcome:
            began_s[part.name] = time.monotonic()
            try:
                return self._run(part)
            finally:
                del began_s[part.name]

        over = threading.Event()
        teller = threading.Thread(target=self._tell, args=(began_s, over))
        teller.start()
        try:
            with ThreadPoolExecutor(self.lanes) as lanes:
                for done in as_completed([lanes.submit(timed, part) for part in parts]):
                    yield done.result()
        finally:
            over.set()
            teller.join()

    def again(self, part: Part, test: str) -> Outcome:
        """One failed test in a process, and with servers, of its own."""
        return self._run(Part(f"{part.name}-again", ("pytest", test)))

    def _run(self, part: Part) -> Outcome:
        output, cache = self.folder / f"{part.name}.log", self.folder / f"{part.name}.cache"
        own = ("-o", f"cache_dir={cache}", "--cache-clear", "--durations=15") if part.pytest else ()
        began_s = time.monotonic()
        with output.open("wb") as file:
            done = subprocess.run(
                (*part.command, *own),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        seconds = time.monotonic() - began_s
        return Outcome(part, done.returncode, seconds, output, _failed(cache) if part.pytest else ())

    @staticmethod
    def _tell(began_s: dict[str, float], over: threading.Event) -> None:
        while not over.wait(_TELL_EVERY_S):
            running = ", ".join(f"{name} {time.monotonic() - s:.0f} s" for name, s in sorted(began_s.items()))
            print(f"scripts/test: running: {running}", flush=True)


def judged(stage: Stage, outcomes: Sequence[Outcome], keep: Callable[[str, str], None]) -> bool:
    """Whether all passed. A test that failed alone is attempted once more; `keep` gets it, and its error, if it passes.

    Two tests that failed are no accident: they fail the run, and so does a part that ended in another way.
    """
    failed = [one for one in outcomes if not one.passed]
    if not failed:
        return True
    tests = [test for one in failed for test in one.failed]
    if len(failed) > 1 or len(tests) != 1 or failed[0].exit_code != pytest.ExitCode.TESTS_FAILED:
        print(f"scripts/test: FAILED: {', '.join(one.part.name for one in failed)}")
        print(*(f"  {line}" for one in failed for line in _failures(one.output) or one.failed), sep="\n")
        return False
    again = stage.again(failed[0].part, tests[0])
    show(again)
    if again.passed:
        keep(tests[0], _first_error(failed[0].output))
        print(f"scripts/test: 1 test PASSED AT THE SECOND ATTEMPT ONLY: {tests[0]}. Its first failure is above")
    return again.passed


def show(outcome: Outcome) -> None:
    """What the part printed, with its end above it."""
    print(f"\n===== {outcome.part.name}: {outcome.seconds:.0f} s, exit code {outcome.exit_code} =====", flush=True)
    with outcome.output.open("rb") as output:
        while block := output.read(1 << 16):
            os.write(sys.stdout.fileno(), block)


def _failed(cache: Path) -> tuple[str, ...]:
    """The tests that failed, as pytest's own cache has them: https://docs.pytest.org/en/stable/how-to/cache.html"""
    file = cache / "v" / "cache" / "lastfailed"
    return tuple(json.loads(file.read_text("utf-8"))) if file.exists() else ()


def _failures(output: Path) -> list[str]:
    """Each failed test with its error, as pytest's own summary has them."""
    lines = output.read_text("utf-8", "replace").splitlines()
    return [line for line in lines if line.startswith(("FAILED ", "ERROR ")) and "::" in line]


def _first_error(output: Path) -> str:
    lines = [line for line in output.read_text("utf-8", "replace").splitlines() if line.startswith("E  ")]
    return (lines or ["E  no error was shown"])[0].removeprefix("E").strip()[:_ERROR_CHARACTERS]
