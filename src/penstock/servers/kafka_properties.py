"""The broker's server.properties, in its two modes: KRaft (Kafka 4) and ZooKeeper (Kafka 3.9).

Names: https://kafka.apache.org/44/configuration/broker-configs/ and https://kafka.apache.org/39/documentation.html
"""

import re
from collections.abc import Mapping
from pathlib import Path

from penstock.config import Settings
from penstock.servers import authority
from penstock.servers.access import MECHANISM
from penstock.servers.nodes import Node, brokers
from penstock.servers.principals import Principal

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The longest batch of records of a topic that sets no limit of its own; ours do (`penstock.kafka`)."""

ZOOKEEPER_SESSION_MS = 3_000
"""How long ZooKeeper keeps the place of a broker that was killed. Kafka's 18 s would be 18 s of refused starts."""

_MEBIBYTE = 1024 * 1024

_FIXED: Mapping[str, str | int] = {
    "inter.broker.listener.name": "INSIDE",
    "listener.security.protocol.map": "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    # 50 partitions of a bookkeeping topic are 50 times its files and locks.
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,
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

_KRAFT: Mapping[str, str | int] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "share.coordinator.state.topic.num.partitions": 1,
    # After kill -9 the controller takes the same broker back only when the old session is over: with upstream's 9 s a
    # start took 12.7 s (measured), with these 4.7 s.
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
}


def configuration(settings: Settings, node: Node) -> Mapping[str, str | int]:
    """server.properties; what is not here has the default of 4.4.0, or of 3.9.2 with ZooKeeper."""
    ports = settings.ports
    return {
        **_FIXED,
        "listeners": _listeners(settings, node),
        # Clients outside are on this machine, also where the broker is in a container.
        # Those of a secure stack are let in by that listener only, wherever they are.
        "advertised.listeners": f"OUTSIDE://{node.host if settings.stack.secure else node.here}:{ports.kafka},"
        f"INSIDE://{node.host}:{ports.kafka_internal}",
        "log.dirs": str(data(settings, node)),
        "log.retention.hours": settings.kafka.retention_hours,
        "num.partitions": settings.kafka.partitions,
        **_copies(settings),
        **(_secured(settings, node) if settings.stack.secure else {}),
        **(_with_zookeeper(settings, node) if settings.stack.kafka == "zookeeper" else _by_itself(settings, node)),
    }


def data(settings: Settings, node: Node) -> Path:
    """Where the broker keeps its messages."""
    return settings.home / "data" / node.name


def kept_topics(settings: Settings, node: Node) -> set[str]:
    """Topics of which the broker has a partition on its disk."""
    folders = (re.fullmatch(r"(.+)-\d+", path.name) for path in data(settings, node).glob("*"))
    return {folder[1] for folder in folders if folder}


def _listeners(settings: Settings, node: Node) -> str:
    ports = settings.ports
    listeners = [f"OUTSIDE://{node.listen}:{ports.kafka}", f"INSIDE://{node.listen}:{ports.kafka_internal}"]
    if settings.stack.kafka == "kraft":
        listeners.append(f"CONTROLLER://{node.here}:{ports.kafka_controller}")
    return ",".join(listeners)


def _copies(settings: Settings) -> Mapping[str, str | int]:
    """Of Kafka's own topics, and of those whose creator does not say: as many as brokers, one fewer in sync."""
    copies = len(brokers(settings))
    in_sync = max(1, copies - 1)
    own = ("transaction.state.log", *(["share.coordinator.state.topic"] if settings.stack.kafka == "kraft" else []))
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        **{f"{name}.replication.factor": copies for name in own},
        **{f"{name}.min.isr": in_sync for name in own},
    }


def _by_itself(settings: Settings, node: Node) -> Mapping[str, str | int]:
    port = settings.ports.kafka_controller
    return {
        **_KRAFT,
        "node.id": node.number,
        # A fixed list of voters follows the controllers' port when that moves; a formatted one would not.
        "controller.quorum.voters": ",".join(f"{one.number}@{one.here}:{port}" for one in brokers(settings)),
    }


def _secured(settings: Settings, node: Node) -> Mapping[str, str | int]:
    """Clients prove a password on the outer listener, and a certificate on the inner one and on the controller's.

    The broker is a superuser, as Kafka's own requests between broker and controller need it.
    """
    scram = "listener.name.outside.scram-sha-512.sasl.jaas.config"
    return {
        "listener.security.protocol.map": "OUTSIDE:SASL_SSL,INSIDE:SSL,CONTROLLER:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(key_store(settings, node)),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.trusted(settings)),
        # Without the listener's name it would not count where the protocol is SASL_SSL.
        "listener.name.inside.ssl.client.auth": "required",
        "listener.name.controller.ssl.client.auth": "required",
        "listener.name.outside.sasl.enabled.mechanisms": MECHANISM,
        scram: "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:CN={authority.KAFKA};User:CN={Principal.ADMIN}",
    }


def key_store(settings: Settings, node: Node) -> Path:
    """The file with key and certificate together, as Kafka reads them; written at each start of the broker."""
    return settings.home / "run" / node.name / "identity.pem"


def _with_zookeeper(settings: Settings, node: Node) -> Mapping[str, str | int]:
    return {
        "broker.id": node.number,
        "zookeeper.connect": f"{settings.hosts.zookeeper}:{settings.ports.zookeeper}",
        "zookeeper.session.timeout.ms": ZOOKEEPER_SESSION_MS,
        # For the first connection: a ZooKeeper that was killed too reads its log first.
        "zookeeper.connection.timeout.ms": 30_000,
    }
