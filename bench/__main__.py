"""`scripts/bench [PART…]`: measures, writes `results/PART.json`; `report` makes the pages of docs out of these.

Parts: drain, latency, ingest, safety, absent, account, security, startup, sizes, report, peers (installs them and says
what is there).
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import parts, report
from bench.parts import Options
from penstock.config import read_settings

ROOT = Path(__file__).parents[1]
QUICK = ("ours", "bento", "tutorial")
QUICK_WARM_UP = ("bento",)
"""So that Cassandra is warm when the first one that counts begins."""
KNOWN = (*parts.RUN, "report")


def main() -> None:
    """Reads the options and runs the parts one after the other."""
    parser = _parser()
    given = parser.parse_args()
    if unknown := set(given.parts) - set(KNOWN):
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(KNOWN)}")
    if "report" in given.parts:
        report.write(given.results, ROOT / "docs", ROOT / "README.md")
    # Told to end, it stops its servers, which are processes of their own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    cache = given.cache or read_settings().cache / "bench"
    options = _options(given)
    for part in given.parts or ["drain"]:
        if part != "report":
            with _home() as home:
                results = given.results / "quick" if given.quick else given.results
                parts.RUN[part](home, cache, options, results)


def _options(given: argparse.Namespace) -> Options:
    records = given.records or [200_000]
    if given.quick:
        return Options(records, 1, QUICK, QUICK_WARM_UP, given.seconds, given.per_second)
    warm_up = None if given.warm_up is None else _names(given.warm_up)
    return Options(records, given.rounds, _names(given.only), warm_up, given.seconds, given.per_second)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(KNOWN)}; drain if none is named")
    parser.add_argument("--records", type=int, action="append", help="of the backlog; may be given several times")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=180, help="of the steady rate; a third of it before, at least 60, to warm up"
    )
    parser.add_argument("--per-second", type=int, default=0, help="records, of the steady rate; found if not given")
    parser.add_argument("--only", default="", help="names of contenders, separated by commas")
    parser.add_argument("--quick", action="store_true", help=f"one round of {', '.join(QUICK)}, under five minutes")
    parser.add_argument("--warm-up", help="names as with --only, instead of everyone; empty for nobody")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", help="folder of the JSON files")
    parser.add_argument("--cache", type=Path, help="folder of peers and data sets")
    return parser


@contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        yield Path(folder) / "home"


def _names(text: str) -> Sequence[str]:
    return [name for name in text.split(",") if name]


if __name__ == "__main__":
    main()
