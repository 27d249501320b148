"""Whether anybody listens at an address: the quick question before a client, which would wait for somebody to come."""

import socket
from collections.abc import Sequence

Address = tuple[str, int]


def addresses(text: str, port: int) -> list[Address]:
    """The addresses in `host:port,host`; `port` is that of the hosts that name none."""
    found = []
    for part in (each.strip() for each in text.split(",")):
        host, colon, own = part.rpartition(":")
        found.append((host, int(own)) if colon and own.isdecimal() else (part, port))
    return found


def nobody_at(asked: Sequence[Address], timeout_s: float) -> str:
    """Why none of the addresses takes a connection, each with its reason; empty where one does."""
    closed = []
    for host, port in asked:
        try:
            socket.create_connection((host, port), timeout_s).close()
        except OSError as error:
            closed.append(f"{host}:{port} ({problem(error)})")
        else:
            return ""
    return ", ".join(closed)


def problem(error: OSError) -> str:
    """The error in a few words."""
    return error.strerror or str(error) or type(error).__name__
