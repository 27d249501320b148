"""The Kafka broker with two listeners, OUTSIDE for clients and INSIDE for the other servers: a KRaft node, broker and
controller in one process, or a broker with ZooKeeper.

What a crash costs: an acknowledged record is in the page cache, so kill -9 takes none. Loss of power can take the last
seconds, because Kafka leaves writing to the disk to the operating system; against that it has replicas, and one node
has none.
"""

import base64
import logging
import socket
import subprocess
from functools import partial
from pathlib import Path
from uuid import uuid4

from penstock.config import Settings, child_environment
from penstock.errors import ServiceError
from penstock.launcher.service import NotReady, Service
from penstock.launcher.state import write, write_once
from penstock.servers import authority
from penstock.servers.access import by_certificate
from penstock.servers.archives import Archive, archive
from penstock.servers.data_format import claim
from penstock.servers.jars import classpath
from penstock.servers.java import LATE_SECOND_COMPILER, Java, properties
from penstock.servers.kafka_properties import ZOOKEEPER_SESSION_MS, configuration, data, kept_topics, key_store
from penstock.servers.nodes import Node, brokers
from penstock.servers.principals import Principal
from penstock.servers.zookeeper import wait_until_gone

log = logging.getLogger(__name__)

_PROBE_TIMEOUT_S = 3
_FORMAT_TIMEOUT_S = 60
# Of a broker in ZooKeeper: `BrokerIdsZNode` of Kafka 3.9. With a margin for a ZooKeeper that was just started.
_PLACES, _PLACE_TIMEOUT_S = "/brokers/ids", 10 * ZOOKEEPER_SESSION_MS / 1_000

_JVM = (
    *LATE_SECOND_COMPILER,
    "-Xms48m",  # else 1/64 of the machine's memory is taken at once
    "-XX:MaxDirectMemorySize=128m",
    "-Djava.awt.headless=true",
)

_LOG4J2 = """\
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


# Kafka 3.9 logs by Log4j's first version.
_LOG4J = """\
log4j.rootLogger=INFO, stdout
log4j.appender.stdout=org.apache.log4j.ConsoleAppender
log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
log4j.appender.stdout.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} - %m%n
log4j.logger.kafka.server.KafkaConfig=WARN
log4j.logger.org.apache.zookeeper=WARN
"""


def kafka(settings: Settings, java: Java, node: Node | None = None) -> Service:
    """A Kafka of the local stack: loopback only, topics created on purpose only, data in `home`.

    Anybody on the machine is answered, unless the stack is secure.
    """
    node, ports = node or brokers(settings)[0], settings.ports
    files = settings.home / "run" / node.name
    by_itself = settings.stack.kafka == "kraft"
    return Service(
        name=node.name,
        command=_command(settings, java, files, "kafka.Kafka", settings.heaps.kafka, str(files / "server.properties")),
        folder=files,
        log=settings.home / "logs" / f"{node.name}.log",
        host=node.here,
        ports={
            "outside": ports.kafka,
            "inside": ports.kafka_internal,
            **({"controller": ports.kafka_controller} if by_itself else {}),
        },
        needs=() if by_itself else ("zookeeper",),
        prepare=partial(_prepare, settings, java, node, files),
        probe=partial(_probe, settings, node),
        afterwards=_classes(settings, java).command,
    )


def _classes(settings: Settings, java: Java) -> Archive:
    name = "kafka" if settings.stack.kafka == "kraft" else "zookeeper"
    return archive(settings, java, name, classpath(settings, name))


def _command(settings: Settings, java: Java, files: Path, main: str, heap: str, *arguments: str) -> tuple[str, ...]:
    logging_by = (
        f"-Dlog4j2.configurationFile={files / 'log4j2.xml'}",
        f"-Dlog4j.configuration={(files / 'log4j.properties').as_uri()}",
    )
    shared = _classes(settings, java)
    options = (*_JVM, *logging_by, *shared.options(files.name))
    return java.command(main, shared.jars, heap, options=options, arguments=arguments)


def _prepare(settings: Settings, java: Java, node: Node, files: Path) -> None:
    claim(settings)
    files.mkdir(parents=True, exist_ok=True)
    (files / "server.properties").write_text(properties(configuration(settings, node)), "ascii")
    if settings.stack.secure:
        authority.certify(settings)
        own = authority.identity(settings, authority.KAFKA)
        write(key_store(settings, node), own.key_pem() + own.chain_pem())
    (files / "log4j2.xml").write_text(_LOG4J2, "utf-8")
    (files / "log4j.properties").write_text(_LOG4J, "utf-8")
    if settings.stack.kafka == "zookeeper":
        # A broker that finds the place of its killed predecessor taken ends: NodeExists.
        wait_until_gone(settings, f"{_PLACES}/{node.number}", _PLACE_TIMEOUT_S)
    elif not (data(settings, node) / "meta.properties").exists():
        _format(settings, java, node, files)


def _format(settings: Settings, java: Java, node: Node, files: Path) -> None:
    """Gives the empty data folder its cluster id; killed half-way, it is done again at the next start."""
    folder, arguments = data(settings, node), ("--ignore-formatted", "--config", str(files / "server.properties"))
    cluster = f"--cluster-id={_cluster_id(settings)}"
    command = _command(settings, java, files, "kafka.tools.StorageTool", "64m", "format", *arguments, cluster)
    try:
        done = subprocess.run(  # noqa: S603 - our own Java and arguments
            command,
            env=child_environment({}),
            capture_output=True,
            text=True,
            check=False,
            timeout=_FORMAT_TIMEOUT_S,
            cwd=files,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"kafka's storage in {folder} could not be formatted: {error}") from error
    if done.returncode != 0:
        raise ServiceError(
            f"kafka's storage in {folder} could not be formatted: StorageTool ended with exit code "
            f"{done.returncode}: {(done.stdout + done.stderr).strip()[-2000:]}"
        )
    log.info("formatted %s for Kafka", folder)


def _cluster_id(settings: Settings) -> str:
    """The same for every broker of the home, whichever comes first: 16 bytes as Kafka writes them.

    Never with a leading dash, which would read as an option.
    """
    made = base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=").replace("-", "A", 1)
    return write_once(settings.home / "data" / "kafka-cluster-id", made)


def _proof(settings: Settings) -> dict[str, str]:
    """What the probe shows a secure broker: a certificate, for it may be asked before there is any password."""
    if not settings.stack.secure:
        return {}
    known = by_certificate(settings, Principal.PROBE)
    return {
        "security.protocol": "SSL",
        "ssl.ca.location": known.ssl_ca_location,
        "ssl.certificate.location": known.ssl_certificate_location,
        "ssl.key.location": known.ssl_key_location,
    }


def _probe(settings: Settings, node: Node) -> None:
    """Ready means: the broker itself answers with the cluster's metadata, is in it, and there is a controller."""
    port = settings.ports.kafka_internal if settings.stack.secure else settings.ports.kafka
    address = f"{node.here}:{port}"
    try:
        # Until the port is open the client would only retry and complain.
        socket.create_connection((node.here, port), _PROBE_TIMEOUT_S).close()
    except OSError as error:
        raise NotReady(f"nothing listens on {address}: {error}") from error
    from confluent_kafka import KafkaException  # noqa: PLC0415 - the launcher stays light until Kafka is asked for
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    client = AdminClient({"bootstrap.servers": address, "log_level": 0, **_proof(settings)})
    try:
        cluster = client.list_topics(timeout=_PROBE_TIMEOUT_S)
    except KafkaException as error:
        raise NotReady(f"{address} gave no metadata: {error}") from error
    if node.number not in cluster.brokers or cluster.controller_id not in cluster.brokers:
        raise NotReady(f"{address} knows brokers {sorted(cluster.brokers)} and controller {cluster.controller_id}")
    led = {name for name, topic in cluster.topics.items() if all(one.leader >= 0 for one in topic.partitions.values())}
    waiting = kept_topics(settings, node) - led if settings.stack.kafka == "zookeeper" else set()
    if waiting:
        # By itself Kafka lets clients in when it has all; with ZooKeeper a controller tells it what it has, later.
        raise NotReady(f"{address} does not serve {', '.join(sorted(waiting))} yet")
