"""Whether something listens at an address: a server that is not running, told from one that is wrong."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from penstock.doctor.finding import Finding, failed, note
from penstock.extras import absent_extras
from penstock.network.listening import Address, nobody_at

TIMEOUT_S = 5.0
"""Longest wait for one answer."""


@dataclass(frozen=True)
class Server:
    """A server that may run: where, the setting that says so, and what to look at when it does.

    `local` is one of our own stack's, which `penstock up` would start.
    """

    name: str
    addresses: Sequence[Address]
    setting: str
    local: bool
    check: Callable[[], Iterable[Finding]]


def reached(server: Server) -> Iterator[Finding]:
    """What the server's check finds if one of its addresses is open, else that nothing runs there."""
    where = nobody_at(server.addresses, TIMEOUT_S)
    if not where:
        yield from server.check()
    elif server.local:
        yield note(server.name, f"not running at {where}", _way_to_start(server))
    else:
        fix = f"Start it, open the way to it, or correct {server.setting}"
        yield failed(server.name, f"nothing answers at {where}", fix)


def _way_to_start(server: Server) -> str:
    if "local" not in absent_extras():
        return "penstock up starts it"
    return f"Yours is named by {server.setting}; penstock up starts one after pip install 'penstock[local]'"
