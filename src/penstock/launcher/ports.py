"""Whether a service's ports are free, and who holds the one that is not."""

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from penstock.errors import ServiceError
from penstock.launcher.process import MARKER
from penstock.launcher.service import Service

_SHOWN_CHARACTERS = 120
# ip_local_port_range of https://docs.kernel.org/networking/ip-sysctl.html; other systems have none.
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True)
class Holder:
    """Who has a port, as far as the system tells."""

    text: str
    """For people: a server, or a connection that leaves from it."""
    passes: bool = False
    """Whether it is a connection, which ends by itself."""
    homes: frozenset[str] = frozenset()
    """The homes of the stacks that its processes were started for; empty when they are none of ours."""


def taken(service: Service) -> Iterator[int]:
    """The ports of the service that cannot be had.

    Raises:
        ServiceError: the machine does not have the service's address.
    """
    return (port for port in service.ports.values() if not is_free(service.host, port))


def holder(host: str, port: int) -> Holder:
    """Who has a port of an address."""
    found = _sockets(host, port)
    listening = [one for one in found if one.status == psutil.CONN_LISTEN]
    if listening:
        pids = sorted({one.pid for one in listening if one.pid is not None})
        text = " and ".join(_describe(pid) for pid in pids) or "a process of another user"
        return Holder(text, homes=frozenset(home for pid in pids if (home := _owner(pid)[1])))
    found.sort(key=lambda one: bool(one.status == psutil.CONN_TIME_WAIT))
    connection = _connection(found[0]) if found else "something that the system does not show"
    return Holder("; ".join(filter(None, (connection, loan(port)))), passes=bool(found))


def loan(port: int) -> str:
    """Says so if the system may give the port to any outgoing connection, so that a server cannot count on it."""
    lent = lent_ports()
    return f"the system gives {lent[0]} to {lent[-1]} to outgoing connections" if port in lent else ""


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there.

    Raises:
        ServiceError: the machine does not have the address.
    """
    with socket.socket() as probe:
        # A server's connections of the past that linger in TIME_WAIT do not hinder the next one; a client's do, and a
        # listener still does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            if error.errno == errno.EADDRNOTAVAIL:
                raise ServiceError(
                    f"this machine has no address {host}, which a server is to listen on. "
                    f"On macOS make it: sudo ifconfig lo0 alias {host} up"
                ) from error
            raise
    return True


def lent_ports() -> range:
    """The ports that the system gives to outgoing connections."""
    try:
        first, last = map(int, _RANGE.read_text("ascii").split())
    except OSError:
        return range(0)
    return range(first, last + 1)


def _sockets(host: str, port: int) -> list[Any]:  # psutil has no public name for their type
    """Sockets on this port because of which a server could not listen at the address."""
    ours = {(ip, port) for ip in (host, f"::ffff:{host}", "0.0.0.0", "::")}
    try:
        return [one for one in psutil.net_connections("tcp") if tuple(one.laddr) in ours]
    except psutil.AccessDenied:
        return []  # macOS tells nobody but root


def _connection(one: Any) -> str:
    there = f"{one.raddr.ip}:{one.raddr.port}" if one.raddr else "nowhere"
    if one.status == psutil.CONN_TIME_WAIT:
        return f"what is left of a connection to {there}, which goes by itself within a minute"
    whose = "a process of another user" if one.pid is None else _describe(one.pid)
    return f"a connection of {whose} to {there}, of which it is the local end"


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        command = " ".join(process.cmdline())
        described = f"{process.name()} (pid {pid}: {command[:_SHOWN_CHARACTERS]})"
    except psutil.Error:
        return f"process {pid}"
    service, home = _owner(pid)
    return f"{described}, which is {service} of the Penstock stack in {home}" if home else described


def _owner(pid: int) -> tuple[str, str]:
    """The service that a process is of, and its stack's home; empty where it is none of ours, or may not be read."""
    try:
        service, _, home = psutil.Process(pid).environ().get(MARKER, "").partition("@")
    except (psutil.Error, OSError):
        return "", ""
    return service, home
