"""The stack as it is, with a stream that can be killed at a chosen point of an epoch, and parts that can be told apart.

`stack` declares it for the supervisor; run as a program this module is that stream.
"""

import json
import logging
import os
import signal
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from penstock.config import Settings, read_settings
from penstock.launcher.service import Service
from penstock.servers.stack import stack as real_stack
from tests.faults import oddities
from tests.faults.isolation import placed

REFERENCE = "tests.faults.seams:stack"
ROOT = Path(__file__).parents[2]
ODD = ("kafka", "zookeeper", "cassandra", "spark-master", "spark-worker", "stream", "console")
"""Kinds of services that can be made odd: the way of the data, and who watches it."""


@dataclass(frozen=True)
class Equipment:
    """What the parts of the stack are given for the faults that need it; empty where they need nothing."""

    groups: str = ""
    """Folder with a control group for each service."""
    library: str = ""
    """The one that makes a server odd."""

    def keep(self, settings: Settings) -> None:
        """For the supervisor, which reads it at each start."""
        _equipment(settings).write_text(json.dumps(asdict(self)), "utf-8")


def stack(settings: Settings) -> tuple[Service, ...]:
    """Every real service; the stream's command is this file."""
    file = _equipment(settings)
    given = Equipment(**json.loads(file.read_text("utf-8"))) if file.exists() else Equipment()
    return tuple(_equipped(settings, _with_seams(service), given) for service in real_stack(settings))


def _with_seams(service: Service) -> Service:
    if service.name != "stream":
        return service
    command = (sys.executable, "-m", "tests.faults.seams")
    return replace(service, command=command, environment={**service.environment, "PYTHONPATH": str(ROOT)})


def _equipped(settings: Settings, service: Service, given: Equipment) -> Service:
    if given.library and can_be_odd(service.name):
        odd = oddities.environment(Path(given.library), odd_file(settings, service.name))
        service = replace(service, environment={**service.environment, **odd})
    if given.groups:
        service = replace(service, command=placed(service.command, Path(given.groups) / service.name))
    return service


def can_be_odd(service: str) -> bool:
    return service.rstrip("-23") in ODD


def odd_file(settings: Settings, service: str) -> Path:
    """How odd the service is at this moment."""
    return settings.home.parent / f"{service}.odd"


def _equipment(settings: Settings) -> Path:
    return settings.home.parent / "equipment.json"


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
