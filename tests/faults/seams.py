"""The stack as it is, with a stream that a test can kill at a chosen point of an epoch.

`stack` declares it for the supervisor; run as a program this module is that stream.
"""

import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from penstock.config import Settings, read_settings
from penstock.launcher.service import Service
from penstock.servers.stack import stack as real_stack

REFERENCE = "tests.faults.seams:stack"
ROOT = Path(__file__).parents[2]


def stack(settings: Settings) -> tuple[Service, ...]:
    """Every real service; the stream's command is this file."""
    return tuple(_with_seams(service) if service.name == "stream" else service for service in real_stack(settings))


def _with_seams(stream: Service) -> Service:
    command = (sys.executable, "-m", "tests.faults.seams")
    return replace(stream, command=command, environment={**stream.environment, "PYTHONPATH": str(ROOT)})


def stop_at(settings: Settings) -> Path:
    """The file that names the point at which the stream kills itself with -9, once."""
    return settings.home / "run" / "stop_at"


def main() -> None:
    from penstock.servers.java import find_java
    from penstock.servers.spark import application_jars
    from penstock.stream import Seams, run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    settings = read_settings()
    order = stop_at(settings)

    def before(point: str) -> None:
        if order.exists() and order.read_text() == point:
            order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    run(settings, application_jars(settings, find_java(settings)), Seams(before=before))


if __name__ == "__main__":
    main()
