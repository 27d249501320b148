"""`python -m handbook write`, or `build`, which makes the site in `build/site`."""

import argparse
import sys

from handbook import ROOT
from handbook.generated import write
from handbook.site import build

SITE = ROOT / "build" / "site"


def main() -> int:
    """Exit code 1 when the site is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m handbook", description=__doc__)
    parser.add_argument("what", choices=["write", "build"])
    if parser.parse_args().what == "write":
        sys.stdout.writelines(f"written: {page.relative_to(ROOT)}\n" for page in write())
        return 0
    problems = build(SITE)
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    sys.stdout.write(f"{SITE / 'index.html'}\n")
    return bool(problems)


sys.exit(main())
