"""Ports that somebody else holds, found before anything starts, and an offset at which all would be free."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.config import LAST_OFFSET, LAST_PORT, Settings
from penstock.errors import PortTakenError, ServiceError
from penstock.launcher.home import Home
from penstock.launcher.ports import Holder, holder, is_free, lent_ports, taken
from penstock.launcher.service import Service
from penstock.launcher.state import living_supervisor, read_recorded

_STEP = 100
"""Offsets are tried in steps that a person can remember."""


@dataclass(frozen=True)
class Conflict:
    """A port that a service needs, and who holds it."""

    service: str
    port: int
    holder: Holder

    def __str__(self) -> str:
        return f"{self.service} needs port {self.port}, which is held by {self.holder.text}"


def conflicts(home: Path, services: Iterable[Service]) -> list[Conflict]:
    """Ports of services that do not run yet which others hold; processes that an earlier start of this home left do not
    count.

    Raises:
        ServiceError: the machine does not have an address that a service is to listen on.
    """
    recorded = read_recorded(Home(home))
    running = {one.name for one in recorded.services if one.lives} if recorded else set()
    found = [
        Conflict(service.name, port, holder(service.host, port))
        for service in services
        if service.name not in running
        for port in taken(service)
    ]
    return [one for one in found if one.holder.homes != {str(home)}]


def check(settings: Settings, services: Iterable[Service], every: Callable[[], Sequence[Service]]) -> None:
    """Returns when the services could have their ports; `every` gives the whole stack, for the advice.

    Raises:
        PortTakenError: names each port that is taken, and an offset at which none is.
        ServiceError: the machine does not have an address that a service is to listen on.
    """
    found = conflicts(settings.home, services)
    if found:
        held_ports = [(one.service, one.port, one.holder.text) for one in found]
        raise PortTakenError(held_ports, remedy(settings, every(), [one.holder for one in found]))


def remedy(settings: Settings, every: Sequence[Service], holders: Iterable[Holder] = ()) -> str:
    """What to do about ports that are taken: never that somebody else's process be stopped."""
    offset = free_offset(every, settings.moved_by)
    runs = living_supervisor(Home(settings.home)) is not None
    holders = tuple(holders)
    others = sorted({home for one in holders for home in one.homes} - {str(settings.home)})
    parts = [
        "Stop this stack first: penstock down; the data stay" if runs and offset else "",
        f"Give every command --port-offset {offset}, or set PENSTOCK_PORT_OFFSET={offset}: every port is free there"
        if offset
        else "No offset was found at which all ports are free: choose each by itself, in [ports] of penstock.toml",
        *(f"Or stop that other stack: penstock down --home {home}" for home in others),
        "Or wait for that connection to end" if any(one.passes for one in holders) else "",
    ]
    return ". ".join(part for part in parts if part)


def free_offset(services: Sequence[Service], moved_by: int) -> int | None:
    """An offset at which every port of the services is free, which are now moved by another one.

    One whose ports the system gives to nobody goes first. None shares a port with the services where they are now, so
    that both could run.
    """
    now = {(service.host, port) for service in services for port in service.ports.values()}
    first = {(host, port - moved_by) for host, port in now}
    highest = max((port for _, port in first), default=0)
    last, lent = min(LAST_OFFSET, LAST_PORT - highest), lent_ports()

    def at(offset: int) -> set[tuple[str, int]]:
        return {(host, port + offset) for host, port in first}

    apart = [offset for offset in range(_STEP, last + 1, _STEP) if not at(offset) & now]
    apart.sort(key=lambda offset: any(port in lent for _, port in at(offset)))
    return next((offset for offset in apart if _all_free(at(offset))), None)


def _all_free(addresses: Iterable[tuple[str, int]]) -> bool:
    try:
        return all(is_free(host, port) for host, port in addresses)
    except ServiceError:
        return False  # the machine does not have the address; that is reported when its service is to start
