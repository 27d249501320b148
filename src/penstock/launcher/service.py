"""The declaration of a local server: its command, its ports, the services that it needs, and its probe."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock.config import LOOPBACK


class NotReady(Exception):  # noqa: N818 - a state that a probe reports, not an error: the caller asks again
    """A probe got no good answer yet; the text says what it got."""


def _nothing_to_prepare() -> None:
    """Most servers need only their files, which were written when the service was declared ready to start."""


@dataclass(frozen=True)
class Service:
    """One server of the local stack. Pure data: making one starts nothing and writes nothing.

    `prepare` runs before each start, once the services in `needs` are ready: it writes configuration files and formats
    empty storage, and is idempotent. `probe` returns when a client could use the server and raises `NotReady`
    otherwise; it answers within a few seconds and holds nothing open afterwards.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    probe: Callable[[], None]
    folder: Path
    """Working folder of the process; created before it starts."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to what every process has (`child_environment`). No secret: what a process starts inherits it."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """What the port is for -> its number on this machine; each must be free before the start."""
    host: str = LOOPBACK
    """Address of this machine on which the ports must be free."""
    needs: tuple[str, ...] = ()
    """Names of the services that must be ready first."""
    after: tuple[str, ...] = ()
    """Names of services that get the processor first, where they are started too: the first start waits until each of
    them is ready or has failed.
    """
    probed_through: tuple[str, ...] = ()
    """Names of further services that the probe asks. While one of them is not ready, a bad answer proves nothing."""
    probe_every_s: float = 15
    """Between two probes of a server that is ready."""
    prepare: Callable[[], None] = _nothing_to_prepare
    start_timeout_s: float = 120
    stop_signal: signal.Signals = signal.SIGTERM
    """The gentle signal. Postgres, for one, waits for its clients on SIGTERM and ends them on SIGINT."""
    stop_timeout_s: float = 30
    """Seconds between the gentle signal and the hard one."""
    afterwards: tuple[str, ...] = ()
    """A command that makes later starts cheaper. It runs once everything is ready and nothing is waited for, with the
    lowest priority; services that share one have it run once.
    """
    page: str = ""
    """Address that a person would open in a browser."""
