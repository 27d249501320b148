"""`python -m supply sbom FILE [--run-time]`, `python -m supply licences`."""

import argparse
import sys
from pathlib import Path

from supply.licences import PAGE, page, refused
from supply.sbom import sbom


def main() -> None:
    """Writes what is asked for; ends with 1 where a licence is not allowed."""
    parser = argparse.ArgumentParser(prog="python -m supply", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("sbom", help="Write the SBOM, in CycloneDX 1.6.")
    writing.add_argument("file", type=Path)
    writing.add_argument("--run-time", action="store_true", help="Without what only development needs.")
    commands.add_parser("licences", help=f"Write {PAGE.name}.")
    given = parser.parse_args()
    if found := refused():
        sys.exit(f"licences that are not allowed or not entered in supply/licences.toml: {'; '.join(found)}")
    if given.command == "sbom":
        given.file.write_text(sbom(development=not given.run_time), "utf-8")
    else:
        PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
