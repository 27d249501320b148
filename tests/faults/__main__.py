"""`scripts/test-faults`: rounds of faults on one real stack, and the table of what came of them."""

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import SystemRandom

from rich import box
from rich.console import Console
from rich.table import Table

from penstock.config import Settings
from penstock.launcher import control
from penstock.servers.java import find_java
from penstock.servers.spark import application_jars, driver_environment
from penstock.users import USERS
from rig.stacks import settings_in, start
from tests.faults.defects import DEFECTS, Defect, Verdict, play_defects
from tests.faults.defects import drawn as drawn_defects
from tests.faults.kinds import FAULTS, Fault
from tests.faults.kinds import drawn as drawn_faults
from tests.faults.rounds import Outcome, play
from tests.faults.stage import Stage, staged

out = Console(highlight=False, soft_wrap=True, width=130)  # for a page of Markdown; a terminal may wrap it
err = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> int:
    options = _options()
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s"
    )
    for client in ("cassandra", "penstock.kafka"):  # that a server is away is what is done to it
        logging.getLogger(client).setLevel(logging.CRITICAL)
    # Told to end, it still stops its servers.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    seed = SystemRandom().randrange(10**6) if options.seed is None else options.seed
    defects = drawn_defects(seed) if options.drawn else DEFECTS
    if options.defects:
        return _show_verdicts(_defects_alone(defects))
    faults = drawn_faults(seed) if options.drawn else FAULTS
    faults = tuple(fault for fault in faults if not options.only or fault.name in options.only)
    verdicts, outcomes = _series(
        faults, [seed + number for number in range(options.rounds)], defects if options.with_defects else ()
    )
    # The tester first: that it finds what it must find.
    shown = [_show_verdicts(verdicts)] if options.with_defects else []
    return max(*shown, _show_outcomes(faults, outcomes, seed), 0)


def _options() -> argparse.Namespace:
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(
        prog="scripts/test-faults", description="Kills parts of the real stack under load."
    )
    parser.add_argument("--rounds", type=int, default=1, help="of each fault (%(default)s)")
    parser.add_argument("--seed", type=int, help="of the first round; the next ones count on. Drawn by default")
    parser.add_argument(
        "--only", action="append", choices=names, metavar="FAULT", help=f"repeatable: {', '.join(names)}"
    )
    parser.add_argument("--drawn", action="store_true", help="faults of some kinds, and some of the defects")
    parser.add_argument("--with-defects", action="store_true", help="before the rounds: plant defects")
    parser.add_argument("--defects", action="store_true", help="instead: plant defects, and show what catches each")
    return parser.parse_args()


def _series(
    faults: Sequence[Fault], seeds: Sequence[int], defects: Sequence[Defect]
) -> tuple[list[Verdict], list[Outcome]]:
    home = Path(tempfile.mkdtemp(prefix="penstock-faults-")) / "home"
    began_s = time.monotonic()
    with staged(home) as stage:
        err.print(f"the stack is up after {time.monotonic() - began_s:.0f} s, in {home}")
        verdicts = _defects(stage.settings, defects, home.parent) if defects else []
        outcomes = _rounds(stage, faults, seeds)
    if all(one.passed for one in (*verdicts, *outcomes)):
        shutil.rmtree(home.parent)
    else:
        err.print(f"logs and data are kept in {home}")
    return verdicts, outcomes


def _rounds(stage: Stage, faults: Sequence[Fault], seeds: Sequence[int]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for seed in seeds:
        for fault in faults:
            outcome = play(stage, fault, seed, partial(_say, fault.name))
            outcomes.append(outcome)
            _say(fault.name, f"seed {seed}, {outcome.words or 'passed'}")
    return outcomes


def _say(what: str, words: str) -> None:
    err.print(f"{datetime.now(UTC):%H:%M:%S} {what}: {words}", markup=False)


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


def _show_outcomes(faults: Sequence[Fault], outcomes: Sequence[Outcome], seed: int) -> int:
    out.print(_table(faults, outcomes))
    for outcome in outcomes:
        if not outcome.passed:
            out.print(f"{outcome.fault}: {outcome.words}", markup=False)
            out.print(f"  again: scripts/test-faults --only '{outcome.fault}' --seed {outcome.seed}", markup=False)
    failed = sum(not outcome.passed for outcome in outcomes)
    out.print(f"seed {seed}")
    out.print(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _table(faults: Sequence[Fault], outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=box.MARKDOWN)
    for heading in ("fault", "rounds", "records", "lost", "duplicated", "seconds to recover", "result"):
        table.add_column(heading, justify="left" if heading in ("fault", "result") else "right")
    for fault in faults:
        of_fault = [one for one in outcomes if one.fault == fault.name]
        seconds = [one.seconds for one in of_fault if one.seconds]
        failed = sum(not one.passed for one in of_fault)
        table.add_row(
            fault.name,
            str(len(of_fault)),
            f"{sum(one.records for one in of_fault):,}",
            str(sum(one.findings.lost for one in of_fault)),
            str(sum(one.findings.duplicated for one in of_fault)),
            f"{min(seconds):.0f}–{max(seconds):.0f}" if len(seconds) > 1 else "".join(f"{s:.0f}" for s in seconds),
            f"{failed} failed" if failed else "passed",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
