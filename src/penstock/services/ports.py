"""Whether a service's ports are free, and who holds the one that is not."""

import errno
import socket

import psutil

from penstock.services.spec import Service

LOOPBACK = "127.0.0.1"
_SHOWN_CHARACTERS = 120


def taken(service: Service) -> int | None:
    """The first port of the service that somebody listens on; None when all are free."""
    return next((port for port in service.ports.values() if not _is_free(port)), None)


def holder(port: int) -> str:
    """Who listens on a port, in words: name, pid and command as far as the system tells."""
    pids = _listeners(port)
    if not pids:
        return "a process of another user"
    return " and ".join(_describe(pid) for pid in sorted(pids))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Connections of the past that linger in TIME_WAIT do not hinder a server; a listener still does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _listeners(port: int) -> set[int]:
    """Pids of those who listen on a port, as far as they may be known."""
    try:
        found = [one for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    except psutil.AccessDenied:
        return set()  # macOS tells nobody but root
    return {one.pid for one in found if one.pid is not None and one.laddr and one.laddr.port == port}


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        command = " ".join(process.cmdline())
        return f"{process.name()} (pid {pid}: {command[:_SHOWN_CHARACTERS]})"
    except psutil.Error:
        return f"process {pid}"
