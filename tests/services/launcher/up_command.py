"""`penstock up` and `down` for the tiny servers, as a command that a test can interrupt."""

import sys

import tiny_stack

from penstock.config import read_settings
from penstock.launcher import control


def main() -> int:
    settings = read_settings()
    try:
        control.up(settings, tiny_stack.stack(settings), reference=tiny_stack.REFERENCE)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
