"""`scripts/test-faults`: trials of faults on one real stack, and the table of what came of them."""

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import SystemRandom

from rich import box
from rich.console import Console
from rich.table import Table

from penstock.config import Settings, StackSettings
from penstock.launcher import control
from penstock.servers import jars
from penstock.servers.java import find_java
from penstock.servers.spark import application_jars, driver_environment
from penstock.users import USERS
from rig.stacks import processes_of, settings_in, start
from tests.faults import isolation, plan, results
from tests.faults.check import Findings
from tests.faults.defects import DEFECTS, Defect, Verdict, play_defects
from tests.faults.defects import drawn as drawn_defects
from tests.faults.fresh import Series, check_deeply
from tests.faults.kinds import Fault
from tests.faults.members import MEMBERS
from tests.faults.plan import Trial
from tests.faults.results import Outcome, Result
from tests.faults.rounds import play
from tests.faults.several import FAULTS, playable
from tests.faults.several import drawn as drawn_faults
from tests.faults.stage import DISK, NETWORK, Stage, lacking, staged

RESULTS = Path(__file__).parents[2] / "docs" / "trials.jsonl"
STACKS = {
    "single": StackSettings(),
    "zookeeper": StackSettings(kafka="zookeeper"),
    "cluster": StackSettings(profile="cluster"),
    "secure": StackSettings(secure=True),
}
DEEP = "deep account at the end"
_ON_ONE_STACK = 100
"""Trials, after which a new stack is started: what they leave behind has to fit on small disks."""
_FAILED_STACKS = 3
"""After so many the run ends."""

out = Console(highlight=False, soft_wrap=True, width=130)  # for a page of Markdown; a terminal may wrap it
err = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> int:
    options = _options()
    _be_quiet()
    seed = SystemRandom().randrange(10**6) if options.seed is None else options.seed
    defects = drawn_defects(seed) if options.drawn else DEFECTS
    if options.defects:
        return _show_verdicts(_defects_alone(defects))
    faults = _chosen(options, seed)
    needs = frozenset[str]() if options.drawn else _needs(faults)
    if needs & {NETWORK, DISK}:
        # Inside there is no way out.
        jars.fetch(Settings(stack=STACKS[options.stack]).resolved(), lambda _: None)
        isolation.enter("tests.faults", [*sys.argv[1:], *([] if options.seed is not None else ["--seed", str(seed)])])
    run = Run(options, seed, faults, needs)
    verdicts = run.play(defects if options.with_defects else ())
    # The tester first: that it finds what it must find.
    shown = [_show_verdicts(verdicts)] if options.with_defects else []
    return max(*shown, run.show(), 0)


def _be_quiet() -> None:
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s"
    )
    for client in ("cassandra", "penstock.kafka"):  # that a server is away is what is done to it
        logging.getLogger(client).setLevel(logging.CRITICAL)
    # Told to end, it still stops its servers.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def _options() -> argparse.Namespace:
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(
        prog="scripts/test-faults", description="Does harm to parts of the real stack under load."
    )
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument("--rounds", type=int, default=1, help="of each fault (%(default)s)")
    how_many.add_argument(
        "--trials", type=int, help="in place of rounds: so many trials of drawn faults; goes on with what was stopped"
    )
    parser.add_argument("--seed", type=int, help="of the first trial; the next ones count on. Drawn by default")
    parser.add_argument(
        "--only", action="append", choices=names, metavar="FAULT", help=f"repeatable: {', '.join(names)}"
    )
    parser.add_argument("--stack", choices=STACKS, default="single", help="which stack (%(default)s)")
    parser.add_argument("--minutes", type=float, help="after which no further trial begins")
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        help="with --trials: file with a line for each; docs/reliability.md shows the default one's",
    )
    parser.add_argument(
        "--drawn",
        action="store_true",
        help="faults of some kinds that need nothing beside the stack, and some of the defects",
    )
    parser.add_argument("--with-defects", action="store_true", help="before the trials: plant defects")
    parser.add_argument("--defects", action="store_true", help="instead: plant defects, and show what catches each")
    options = parser.parse_args()
    if options.trials and options.seed is None:
        parser.error("--trials needs --seed: by it a run that was stopped is gone on with")
    if options.with_defects and options.stack != "single":
        parser.error("--with-defects needs --stack single")
    options.results = options.results.absolute()
    return options


def _chosen(options: argparse.Namespace, seed: int) -> tuple[Fault, ...]:
    if options.only:
        faults = tuple(fault for fault in FAULTS if fault.name in options.only)
        for fault in faults:
            if why := lacking(fault.needs):
                sys.exit(f"{fault.name} cannot be played here. {why}")
        return faults
    if options.drawn:
        return drawn_faults(seed, [fault for fault in FAULTS if not fault.needs])
    faults = playable()
    for fault in FAULTS:
        if fault not in faults:
            _say(fault.name, f"left out. {lacking(fault.needs)}")
    return faults


def _needs(faults: Sequence[Fault]) -> frozenset[str]:
    """Of those that are made of others: what any of the others needs that can be had."""
    of = playable() if any(fault.kind == "several" for fault in faults) else faults
    return frozenset[str]().union(*(fault.needs for fault in of))


def _say(what: str, words: str) -> None:
    err.print(f"{datetime.now(UTC):%H:%M:%S} {what}: {words}", markup=False)


class Run:
    """What one call of the program plays, on one stack after the other."""

    def __init__(self, options: argparse.Namespace, seed: int, faults: Sequence[Fault], needs: frozenset[str]) -> None:
        self._options, self._seed, self._needs = options, seed, needs
        self._stack: str = options.stack
        self._ends_s = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
        self._results: list[Result] = []
        if options.trials:
            self._results = [
                one for one in results.kept(options.results) if (one.series, one.stack) == (seed, self._stack)
            ]
            done = {one.number for one in self._results}
            self._left = plan.left(plan.series(faults, seed, options.trials), done)
            _say("trials", f"{len(done)} of {options.trials} are done, {len(self._left)} are left")
        else:
            self._left = list(plan.rounds(faults, seed, options.rounds))

    def play(self, defects: Sequence[Defect]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        failed = 0
        while (self._left or defects) and failed < _FAILED_STACKS and time.monotonic() < self._ends_s:
            found, passed = self._on_a_stack(defects)
            verdicts, defects = verdicts + found, ()
            failed += not passed
        return verdicts

    def _on_a_stack(self, defects: Sequence[Defect]) -> tuple[list[Verdict], bool]:
        """Trials on one stack, up to the first one that fails; and whether all of them passed."""
        home = Path(tempfile.mkdtemp(prefix="penstock-faults-")) / "home"
        began_s, series, before = time.monotonic(), Series(MEMBERS), len(self._results)
        with _told(home), staged(home, STACKS[self._stack], self._needs) as stage:
            _say("stack", f"{self._stack}, up after {time.monotonic() - began_s:.0f} s, in {home}")
            verdicts = _defects(stage.settings, defects, home.parent) if defects else []
            for _ in range(_ON_ONE_STACK):
                if (
                    not self._left
                    or time.monotonic() > self._ends_s
                    or not self._trial(stage, series, self._left.pop(0))
                ):
                    break
            played = self._results[before:]
            passed = all(not one.words for one in played) and self._account(stage, series, played)
            stage.spoiled = not passed
        if passed and all(one.passed for one in verdicts):
            shutil.rmtree(home.parent)
        else:
            err.print(f"logs and data are kept in {home}")
        return verdicts, passed

    def _trial(self, stage: Stage, series: Series, trial: Trial) -> bool:
        outcome = play(stage, series, trial.fault, trial.seed, partial(_say, trial.fault.name))
        self._keep(outcome, trial.number)
        came = f"seed {trial.seed}, {outcome.words or 'passed'}, {outcome.took_s:.0f} s"
        _say(trial.fault.name, f"{came}{f' ({outcome.detail})' if outcome.detail else ''}; {len(self._left)} are left")
        return outcome.passed

    def _account(self, stage: Stage, series: Series, played: Sequence[Result]) -> bool:
        """The deep account of all trials on the stack. In the table it stands only where it finds something."""
        findings, failure, began_s = Findings(), "", time.monotonic()
        try:
            check_deeply(stage.clients, series, stage.pipeline, findings)
        except Exception as error:  # noqa: BLE001 - as a trial that cannot be played to its end
            failure = f"{type(error).__name__}: {error}"
        took_s = time.monotonic() - began_s
        outcome = Outcome(DEEP, self._seed, took_s=took_s, findings=findings, failure=failure)
        _say(DEEP, f"{outcome.words or 'passed'}, {took_s:.0f} s for {len(series.runs)} runs")
        self._keep(outcome, -1, tuple(one.number for one in played))
        return outcome.passed

    def _keep(self, outcome: Outcome, number: int, covers: tuple[int, ...] = ()) -> None:
        result = Result.of(outcome, f"{datetime.now(UTC):%Y-%m-%d}", self._stack, self._seed, number, covers)
        if result.words or not covers:
            self._results.append(result)
        if self._options.trials:
            results.keep(self._options.results, result)

    def show(self) -> int:
        """Prints what came of it; with the default file, the page shows all that stands there."""
        failed = [one for one in self._results if one.words]
        if self._results:
            out.print(results.table(self._results), markup=False)
            out.print(results.summary(self._results), markup=False)
        for one in failed:
            out.print(f"{one.fault}: {one.words}", markup=False)
            out.print(
                f"  again: scripts/test-faults --only '{one.fault}' --stack {one.stack} --seed {one.seed}", markup=False
            )
        if self._options.trials and self._options.results == RESULTS:
            results.write(results.kept(RESULTS))
        out.print(f"seed {self._seed}")
        out.print(f"{len(self._results) - len(failed)} passed, {len(failed)} failed, {len(self._left)} not played")
        return 1 if failed or (self._left and not self._options.minutes) else 0


@contextmanager
def _told(home: Path) -> Iterator[None]:
    """Says, where the block ends with an error, what is left of it."""
    try:
        yield
    except BaseException as error:
        # The namespaces end with the last process in them, with all mounts and rules.
        living = [one.pid for one in processes_of(home)]
        left = f"processes {living}; `penstock down --home {home}` ends them" if living else "no process"
        err.print(f"ended by {type(error).__name__}. Left are: logs and data in {home}, {left}", markup=False)
        raise


def _defects_alone(defects: Sequence[Defect]) -> list[Verdict]:
    folder = Path(tempfile.mkdtemp(prefix="penstock-defects-"))
    settings = settings_in(folder / "home")
    try:
        start(settings, "kafka", "cassandra")
        verdicts = _defects(settings, defects, folder)
    finally:
        control.down(settings, delete_data=True)
    shutil.rmtree(folder)
    return verdicts


def _defects(settings: Settings, defects: Sequence[Defect], folder: Path) -> list[Verdict]:
    os.environ.update(driver_environment(settings, find_java(settings)))
    verdicts = []
    classpath = application_jars(settings, find_java(settings))
    for verdict in play_defects(settings, USERS, defects, classpath, folder):
        verdicts.append(verdict)
        _say(verdict.defect.name, str(verdict.findings) or "nothing found")
    return verdicts


def _show_verdicts(verdicts: Sequence[Verdict]) -> int:
    table = Table("defect", "caught by", "result", box=box.MARKDOWN)
    for verdict in verdicts:
        caught = ", ".join(verdict.findings.caught_by)
        table.add_row(verdict.defect.name, caught, "passed" if verdict.passed else "FAILED")
    out.print(table)
    failed = sum(not verdict.passed for verdict in verdicts)
    out.print(f"{len(verdicts) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
