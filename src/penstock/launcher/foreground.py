"""One server of the stack as this very process: what a container runs, and how its health is asked.

The definitions are those of `penstock up`, so the two cannot drift apart. What watches and restarts here is whoever
started the process: a container engine, systemd.
"""

import os
import signal
from collections.abc import Iterable
from typing import NoReturn

from penstock.config import Settings, child_environment
from penstock.errors import PenstockError, ServiceError
from penstock.launcher import conflicts
from penstock.launcher.home import Home
from penstock.launcher.selection import choose
from penstock.launcher.service import Service

# What Python ignores for itself would stay ignored in the server: https://docs.python.org/3/library/signal.html
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def serve(settings: Settings, services: Iterable[Service], name: str) -> NoReturn:
    """Prepares the service, then becomes it: same process id, output to our own stdout and stderr.

    What it needs is not started; a preparation that meets none of it fails.

    Raises:
        PortTakenError: somebody else has one of its ports.
        ServiceError: no service has that name, it could not be prepared, or its command cannot be executed.
    """
    every = tuple(services)
    service = _named(every, name)
    conflicts.check(settings, [service], lambda: every)
    Home(settings.home).make()
    _prepare(service)
    service.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(service.folder)
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(service.command[0], service.command, child_environment(service.environment))  # noqa: S606 - no shell is meant
    except OSError as error:
        raise ServiceError(f"{name} could not be started: {service.command[0]}: {error}") from error


def check(services: Iterable[Service], name: str) -> None:
    """Returns when a client could use the service that runs here.

    Raises:
        NotReady: it answered otherwise, or not at all; says what.
        ServiceError: no service has that name.
    """
    _named(services, name).probe()


def _named(services: Iterable[Service], name: str) -> Service:
    return next(service for service in choose(tuple(services), [name]) if service.name == name)


def _prepare(service: Service) -> None:
    try:
        service.prepare()
    except PenstockError as error:
        raise ServiceError(f"{service.name} could not be prepared{_needed(service)}: {error}") from error


def _needed(service: Service) -> str:
    return f" (it needs {', '.join(service.needs)})" if service.needs else ""
