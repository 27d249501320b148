"""A server for tests of the launcher: answers `ok` on its port, and misbehaves when told to.

It is steered by files, so that tests need no clock: see the options.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType

POLL_S = 0.02
SLEEPER = "import signal; [signal.pause() for _ in iter(int, 1)]"


def main() -> None:
    options = _options()
    note(options, "started")
    if options.say:
        sys.stdout.write(f"{options.say}\n")
        sys.stdout.flush()
    if options.exit_with is not None and (options.exit_when is None or options.exit_when.exists()):
        sys.exit(options.exit_with)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.ignore_term else _leave)
    if options.grandchild:
        # A clean environment and a session of its own: only descent leads to it.
        child = subprocess.Popen(
            [sys.executable, "-c", SLEEPER], start_new_session=True, env=_grandchild_environment(options)
        )
        options.grandchild.write_text(str(child.pid))
    try:
        serve(options)
    finally:
        note(options, "stopped")


def serve(options: argparse.Namespace) -> None:
    with socket.create_server(("127.0.0.1", options.port)) as listener:
        listener.settimeout(POLL_S)
        while True:
            if options.die_when and options.die_when.exists():
                options.die_when.unlink()
                os._exit(3)
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                ready = options.ready_when is None or options.ready_when.exists()
                connection.sendall(b"ok" if ready else b"no")


def note(options: argparse.Namespace, what: str) -> None:
    with options.journal.open("a") as journal:
        journal.write(f"{options.name} {what}\n")


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def _grandchild_environment(options: argparse.Namespace) -> dict[str, str]:
    return {} if options.clean_grandchild else dict(os.environ)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--say", default="")
    parser.add_argument("--exit-with", type=int)
    parser.add_argument("--exit-when", type=Path)
    parser.add_argument("--ready-when", type=Path)
    parser.add_argument("--die-when", type=Path)
    parser.add_argument("--ignore-term", action="store_true")
    parser.add_argument("--grandchild", type=Path)
    parser.add_argument("--clean-grandchild", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
