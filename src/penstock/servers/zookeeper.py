"""ZooKeeper, for Kafka 3.9: one server, loopback only, its data in `home`.

It is asked with its four-letter words, https://zookeeper.apache.org/doc/r3.8.4/zookeeperAdmin.html#sc_4lw: one word on
a connection of its own, one answer in plain text.
"""

import re
import socket
import time
from functools import partial
from pathlib import Path

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from penstock.config import LOOPBACK, Settings
from penstock.errors import ServiceError
from penstock.launcher.service import NotReady, Service
from penstock.servers.archives import archive
from penstock.servers.data_format import claim
from penstock.servers.jars import classpath
from penstock.servers.java import Java, properties

_PROBE_TIMEOUT_S = 3
# ZooKeeper's unit of time: it looks for ended sessions this often, and grants none shorter than two of it.
_TICK_MS = 500

_JVM = (
    "-Xms16m",
    "-XX:TieredStopAtLevel=1",  # it is idle once it runs
    "-Djava.awt.headless=true",
    "-Dzookeeper.jmx.log4j.disable=true",
    "-Dzookeeper.preAllocSize=1024",  # KiB; upstream's first log file takes 64 MiB of disk
)

_LOG4J = """\
log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} - %m%n
# Its environment at each start, and a line for each question of ours.
log4j.logger.org.apache.zookeeper.server.ZooKeeperServer=WARN
log4j.logger.org.apache.zookeeper.server.command=WARN
log4j.logger.org.apache.zookeeper.server.NIOServerCnxn=WARN
"""


def zookeeper(settings: Settings, java: Java) -> Service:
    """The ZooKeeper of the local stack: no authentication, no admin page, data in `home`. kill -9 is survived."""
    files = settings.home / "run" / "zookeeper"
    port = settings.ports.zookeeper
    shared = archive(settings, java, "zookeeper", classpath(settings, "zookeeper"))
    logging_by = f"-Dlog4j.configuration={(files / 'log4j.properties').as_uri()}"
    return Service(
        name="zookeeper",
        command=java.command(
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            shared.jars,
            settings.heaps.zookeeper,
            options=(*_JVM, logging_by, *shared.options("zookeeper")),
            arguments=(str(files / "zoo.cfg"),),
        ),
        folder=files,
        log=settings.home / "logs" / "zookeeper.log",
        ports={"client": port},
        prepare=partial(_prepare, settings, files),
        probe=partial(_probe, port),
        afterwards=shared.command,
    )


def wait_until_gone(settings: Settings, node: str, timeout_s: float) -> None:
    """Returns when no session holds the ephemeral `node` any more, as the one of a server that was killed does.

    Raises:
        ServiceError: it still stands after `timeout_s`, or ZooKeeper does not answer.
    """
    host, port = settings.hosts.zookeeper, settings.ports.zookeeper
    started = time.monotonic()
    looking = Retrying(
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(0.1),
        retry=retry_if_result(bool),
        retry_error_callback=lambda state: True,
    )
    try:
        stands = looking(lambda: node in _ask(host, port, b"dump").split())
    except NotReady as error:
        raise ServiceError(f"zookeeper could not be asked who holds {node}: {error}") from error
    if stands:
        waited_s = time.monotonic() - started
        raise ServiceError(
            f"{node} in the zookeeper at {host}:{port} is held by a session that lives on after {waited_s:.0f} s: "
            "another broker with the same id uses this zookeeper. Stop that one, or name another zookeeper "
            "(hosts.zookeeper, ports.zookeeper)"
        )


def _prepare(settings: Settings, files: Path) -> None:
    claim(settings)
    data = settings.home / "data" / "zookeeper"
    data.mkdir(parents=True, exist_ok=True)
    files.mkdir(parents=True, exist_ok=True)
    options = {
        "dataDir": data,
        "clientPortAddress": settings.stack.listen,
        "clientPort": settings.ports.zookeeper,
        "tickTime": _TICK_MS,
        "maxClientCnxns": 0,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "srvr,dump",
        "autopurge.snapRetainCount": 3,
        "autopurge.purgeInterval": 1,  # hours
    }
    (files / "zoo.cfg").write_text(properties(options), "ascii")
    (files / "log4j.properties").write_text(_LOG4J, "utf-8")


def _probe(port: int) -> None:
    """Ready means: it says in which mode it serves; one that still reads its log says that it does not."""
    answer = _ask(LOOPBACK, port, b"srvr")
    if not re.search(r"^Mode: ", answer, re.MULTILINE):
        raise NotReady(f"zookeeper on port {port} answers {answer.strip()[:200]!r}")


def _ask(host: str, port: int, word: bytes) -> str:
    try:
        with socket.create_connection((host, port), _PROBE_TIMEOUT_S) as connection:
            connection.sendall(word)
            with connection.makefile("rb") as answer:
                return answer.read().decode("utf-8", "replace")
    except OSError as error:
        raise NotReady(f"no answer to {word.decode()} from {host}:{port}: {error}") from error
