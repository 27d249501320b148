"""`scripts/test` and `scripts/test-all`: all parts of the tests, and where the time went."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from random import SystemRandom

from tests.parts import report
from tests.parts.catalogue import Part, parts
from tests.parts.play import Outcome, Stage, judged, show


def main() -> int:
    options = _options()
    # What runs in the background of a shell ignores it, and so would the commands that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began_s = time.monotonic()
    spent_s = {name: float(seconds) for name, _, seconds in (one.partition("=") for one in options.spent)}
    chosen = parts(thorough=options.all, containers=options.containers, unit=not options.checked, seed=options.seed)
    stage = Stage(report.ROOT, report.ROOT / "build" / "tests")
    print(f"scripts/test: seed {options.seed}")
    outcomes = _played(stage, chosen)
    passed = judged(stage, outcomes, report.keep_second_attempt)
    table = report.times_table(spent_s, outcomes, time.monotonic() - began_s + sum(spent_s.values()))
    print(f"\n{table}\n")
    if options.all:
        report.keep_result(table, passed=passed, seed=options.seed)
    elif options.checked:
        report.keep_times(table)
    return 0 if passed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/test", description="All parts of the tests, side by side.")
    parser.add_argument("--all", action="store_true", help="every round, defect and thorough test")
    parser.add_argument("--containers", action="store_true", help="with the containers")
    parser.add_argument("--checked", action="store_true", help="leaves the unit tests out: scripts/check ran them")
    parser.add_argument("--spent", action="append", default=[], metavar="PART=SECONDS", help="for the table")
    parser.add_argument(
        "--seed", default=str(SystemRandom().randrange(10**6)), help="of what is drawn. Drawn itself by default"
    )
    return parser.parse_args()


def _played(stage: Stage, chosen: Sequence[Part]) -> list[Outcome]:
    names = ", ".join(part.name for part in chosen)
    print(f"scripts/test: {names}; {stage.lanes} at a time, their output in {stage.folder}", flush=True)
    outcomes = []
    for outcome in stage.play(chosen):
        show(outcome)
        outcomes.append(outcome)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
