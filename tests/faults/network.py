"""The network between two parts of the stack, cut, broken or slowed, in a network of the program's own.

All parts are on loopback. A connection is marked by whose socket sends to which port, and what has the mark is dropped,
reset, lost now and then, or sent slowly, in both directions. Everything else goes on as it was.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import psutil

from tests.faults.isolation import Parts, run

Command = tuple[str, ...]
_marks = count(1)
"""A mark is used once: connections keep theirs."""
_ANYWHERE = {"0.0.0.0", "::"}
_SLOW_CLASS = "1:2"


@dataclass(frozen=True, order=True)
class Endpoint:
    """Where a part listens. Without a host it is every address."""

    port: int
    host: str = ""


@dataclass(frozen=True, order=True)
class Link:
    """Two parts, of which the first one has called the second one."""

    client: str
    server: str

    def __str__(self) -> str:
        return f"{self.client} – {self.server}"


@dataclass(frozen=True)
class Lines:
    """Who listens where, and who is connected with whom, at one moment."""

    listening: dict[str, set[Endpoint]]
    links: Sequence[Link]


@dataclass(frozen=True)
class Trouble:
    """What becomes of the packets of a connection."""

    name: str
    table: str
    chain: str
    target: Command
    per_second: str = ""
    """As tc writes a rate, where packets are slowed."""

    def __str__(self) -> str:
        return self.name + (f" to {self.per_second}" if self.per_second else "")


DROPPED = Trouble("dropped", "filter", "OUTPUT", ("-j", "DROP"))
RESET = Trouble(
    "reset",
    "filter",
    "OUTPUT",
    # Not the reset itself, which must arrive.
    ("-m", "tcp", "!", "--tcp-flags", "RST", "RST", "-j", "REJECT", "--reject-with", "tcp-reset"),
)
LOSSY = Trouble(
    "one in five lost",
    "filter",
    "OUTPUT",
    ("-m", "statistic", "--mode", "random", "--probability", "0.2", "-j", "DROP"),
)


def slowed(rate: str) -> Trouble:
    return Trouble("slowed", "mangle", "POSTROUTING", ("-j", "CLASSIFY", "--set-class", _SLOW_CLASS), rate)


def look(parts: Parts) -> Lines:
    """The connections of this moment."""
    return lines_of(psutil.net_connections("tcp"), parts.of)


def lines_of(connections: Sequence[Any], part_of: Callable[[int], str | None]) -> Lines:
    """`connections` as psutil gives them."""
    listening: dict[str, set[Endpoint]] = {}
    calls: list[tuple[str, Endpoint]] = []
    for one in connections:
        part = part_of(one.pid) if one.pid else None
        if part and one.status == psutil.CONN_LISTEN:
            listening.setdefault(part, set()).add(_endpoint(one.laddr))
        elif part and one.status == psutil.CONN_ESTABLISHED:
            calls.append((part, _endpoint(one.raddr)))
    links = {
        Link(client, server)
        for client, to in calls
        for server, where in listening.items()
        if client != server and (to in where or Endpoint(to.port) in where)
    }
    return Lines(listening, sorted(links))


def _endpoint(address: Any) -> Endpoint:
    host = address.ip.removeprefix("::ffff:")
    return Endpoint(address.port, "" if host in _ANYWHERE else host)


def rules(sender: str, to: Sequence[Endpoint], mark: int, trouble: Trouble) -> list[Command]:
    """Arguments of iptables: which connections get the mark, and what becomes of what has it.

    `sender` is the path of a control group.
    """
    whose = ("-p", "tcp", "-m", "cgroup", "--path", sender)
    marking = [
        ("-t", "mangle", "-A", "OUTPUT", *whose, *_where(one), "-j", "CONNMARK", "--set-mark", str(mark)) for one in to
    ]
    marked = ("-p", "tcp", "-m", "connmark", "--mark", str(mark))
    return [*marking, ("-t", trouble.table, "-A", trouble.chain, *marked, *trouble.target)]


def _where(to: Endpoint) -> Command:
    return (*(("-d", to.host) if to.host else ()), "--dport", str(to.port))


def undone(rule: Command) -> Command:
    return tuple("-D" if word == "-A" else word for word in rule)


@contextmanager
def troubled(parts: Parts, link: Link, trouble: Trouble) -> Iterator[None]:
    """Between the two parts, until the end of the block."""
    listening = look(parts).listening
    ways = ((link.client, link.server), (link.server, link.client))
    with ExitStack() as ending:
        if trouble.per_second:
            ending.enter_context(_narrow(trouble.per_second))
        for sender, receiver in ways:
            to = sorted(one for one in listening.get(receiver, ()) if ":" not in one.host)
            for rule in rules(parts.path(sender), to, next(_marks), trouble) if to else ():
                run("iptables", "-w", *rule)
                ending.callback(run, "iptables", "-w", *undone(rule))
        yield


@contextmanager
def _narrow(rate: str) -> Iterator[None]:
    """A class of loopback's packets that is that slow; all others go at once."""
    run("tc", "qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb", "default", "1")
    try:
        run(*_CLASS, "1:1", "htb", "rate", "10gbit", "quantum", "60000")
        # As much as a packet of loopback is long, or none would ever pass.
        run(*_CLASS, _SLOW_CLASS, "htb", "rate", rate, "burst", "70k", "cburst", "70k", "quantum", "60000")
        yield
    finally:
        run("tc", "qdisc", "del", "dev", "lo", "root")


_CLASS = ("tc", "class", "add", "dev", "lo", "parent", "1:", "classid")
