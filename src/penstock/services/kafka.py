"""The Kafka broker: one KRaft node, broker and controller in one process, with the mission's two listeners.

What a crash costs: an acknowledged record is in the page cache, so kill -9 takes none. Loss of power can take the last
seconds, because Kafka leaves writing to the disk to the operating system; against that it has replicas, and one node
has none.
"""

import base64
import logging
import socket
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from uuid import uuid4

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.services.jars import classpath
from penstock.services.java import Java
from penstock.services.spec import NotReady, Service

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
NODE_ID = 1

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The longest batch of records of a topic that sets no limit of its own; ours do (`penstock.broker`)."""

_MEBIBYTE = 1024 * 1024
_PROBE_LIMIT_S = 3
_FORMAT_LIMIT_S = 60

_JVM = (
    "-Xms48m",  # else 1/64 of the machine's memory is taken at once
    "-XX:MaxDirectMemorySize=128m",
    "-Djava.awt.headless=true",
)

# Names: https://kafka.apache.org/43/configuration/broker-configs/
_FIXED: Mapping[str, str | int] = {
    "process.roles": "broker,controller",
    "node.id": NODE_ID,
    "inter.broker.listener.name": "INSIDE",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    # One node has no replicas, and 50 partitions of a bookkeeping topic are 50 times its files and locks.
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "group.initial.rebalance.delay.ms": 0,
    # After kill -9 the controller takes the same broker back only when the old session is over: with upstream's 9 s a
    # start took 12.7 s (measured), with these 4.7 s.
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
    # A start after kill -9 reads the unflushed segments again, and retention deletes whole segments only.
    "log.segment.bytes": 128 * _MEBIBYTE,
    "message.max.bytes": MAX_MESSAGE_BYTES,
    "socket.request.max.bytes": 2 * MAX_MESSAGE_BYTES,
    "queued.max.request.bytes": 4 * MAX_MESSAGE_BYTES,
    # The cleaner takes this from the heap at the start; upstream's 128 MiB is half of ours.
    "log.cleaner.dedupe.buffer.size": 4 * _MEBIBYTE,
    # For two cores.
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.recovery.threads.per.data.dir": 2,
}

_LOG4J = """\
<Configuration status="WARN" shutdownHook="disable">
  <Appenders>
    <Console name="stdout"><PatternLayout pattern="%d{ISO8601} %-5level %c{1} - %msg%n"/></Console>
  </Appenders>
  <Loggers>
    <!-- 400 lines of settings at each start; ours are in server.properties. -->
    <Logger name="org.apache.kafka.common.config.AbstractConfig" level="WARN"/>
    <Logger name="kafka.server.KafkaConfig" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="stdout"/></Root>
  </Loggers>
</Configuration>
"""


def kafka(settings: Settings, java: Java) -> Service:
    """The Kafka of the local stack: no log-in, loopback only, topics created on purpose only, data in `home`."""
    files = settings.home / "run" / "kafka"
    return Service(
        name="kafka",
        command=_command(settings, java, files, "kafka.Kafka", settings.heaps.kafka, str(files / "server.properties")),
        folder=files,
        log=settings.home / "logs" / "kafka.log",
        ports={
            "outside": settings.ports.kafka,
            "inside": settings.ports.kafka_internal,
            "controller": settings.ports.kafka_controller,
        },
        prepare=partial(_prepare, settings, java, files),
        probe=partial(_probe, settings.ports.kafka),
    )


def _command(settings: Settings, java: Java, files: Path, main: str, heap: str, *arguments: str) -> tuple[str, ...]:
    options = (*_JVM, f"-Dlog4j2.configurationFile={files / 'log4j2.xml'}")
    return java.command(main, classpath(settings, "kafka"), heap, options=options, arguments=arguments)


def _prepare(settings: Settings, java: Java, files: Path) -> None:
    files.mkdir(parents=True, exist_ok=True)
    lines = (f"{name}={value}" for name, value in _configuration(settings).items())
    (files / "server.properties").write_text("\n".join(lines) + "\n", "utf-8")
    (files / "log4j2.xml").write_text(_LOG4J, "utf-8")
    if not (_data(settings) / "meta.properties").exists():
        _format(settings, java, files)


def _data(settings: Settings) -> Path:
    return settings.home / "data" / "kafka"


def _configuration(settings: Settings) -> Mapping[str, str | int]:
    """server.properties; what is not here has the default of 4.3.1."""
    ports = settings.ports
    reachable = f"OUTSIDE://{HOST}:{ports.kafka},INSIDE://{HOST}:{ports.kafka_internal}"
    return {
        **_FIXED,
        "listeners": f"{reachable},CONTROLLER://{HOST}:{ports.kafka_controller}",
        "advertised.listeners": reachable,
        # A fixed list of voters follows the controller's port when that moves; a formatted one would not.
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{ports.kafka_controller}",
        "log.dirs": str(_data(settings)),
        "log.retention.hours": settings.kafka.retention_hours,
        "num.partitions": settings.kafka.partitions,
    }


def _format(settings: Settings, java: Java, files: Path) -> None:
    """Gives the empty data folder its cluster id; killed half-way, it is done again at the next start."""
    arguments = ("format", "--ignore-formatted", "--config", str(files / "server.properties"))
    command = _command(
        settings, java, files, "kafka.tools.StorageTool", "64m", *arguments, f"--cluster-id={_cluster_id()}"
    )
    try:
        done = subprocess.run(  # noqa: S603 - our own Java and arguments
            command, capture_output=True, text=True, check=False, timeout=_FORMAT_LIMIT_S, cwd=files
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"kafka's storage in {_data(settings)} could not be formatted: {error}") from error
    if done.returncode != 0:
        raise ServiceError(
            f"kafka's storage in {_data(settings)} could not be formatted: StorageTool ended with exit code "
            f"{done.returncode}: {(done.stdout + done.stderr).strip()[-2000:]}"
        )
    log.info("formatted %s for Kafka", _data(settings))


def _cluster_id() -> str:
    """16 random bytes as Kafka writes them; never with a leading dash, which would read as an option."""
    return base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=").replace("-", "A", 1)


def _probe(port: int) -> None:
    """Ready means: the broker itself answers with the cluster's metadata and is in it."""
    try:
        # Until the port is open the client would only retry and complain.
        socket.create_connection((HOST, port), _PROBE_LIMIT_S).close()
    except OSError as error:
        raise NotReady(f"nothing listens on {HOST}:{port}: {error}") from error
    from confluent_kafka import KafkaException  # noqa: PLC0415 - the launcher stays light until Kafka is asked for
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    client = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
    try:
        cluster = client.list_topics(timeout=_PROBE_LIMIT_S)
    except KafkaException as error:
        raise NotReady(f"{HOST}:{port} gave no metadata: {error}") from error
    if NODE_ID not in cluster.brokers or cluster.controller_id != NODE_ID:
        raise NotReady(f"{HOST}:{port} knows brokers {sorted(cluster.brokers)} and controller {cluster.controller_id}")
