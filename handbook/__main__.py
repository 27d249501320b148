"""`python -m handbook write`, or `build` with the folder of the site."""

import argparse
import sys
from pathlib import Path

from handbook import ROOT
from handbook.generated import write
from handbook.site import build


def main() -> int:
    """Exit code 1 when the site is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m handbook", description=__doc__)
    parser.add_argument("what", choices=["write", "build"])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "site", help="of the site")
    given = parser.parse_args()
    if given.what == "write":
        sys.stdout.writelines(f"written: {page.relative_to(ROOT)}\n" for page in write())
        return 0
    problems = build(given.folder)
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    sys.stdout.write(f"{given.folder / 'index.html'}\n")
    return bool(problems)


sys.exit(main())
