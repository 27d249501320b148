"""The servers of one kind: one, or with the cluster profile several on addresses of their own, with the same ports."""

from dataclasses import dataclass

from penstock.config import CLUSTER, LOOPBACK, Settings

WORKERS = 2
"""Spark workers of the cluster profile: enough that one may go."""


@dataclass(frozen=True)
class Node:
    """One server of its kind. The first bears the kind's name, so that it is called the same in every profile."""

    kind: str
    number: int
    """From 1."""
    host: str
    """As the other servers call it."""
    listen: str
    here: str
    """Where it is reached on its own machine."""

    @property
    def name(self) -> str:
        return self.kind if self.number == 1 else f"{self.kind}-{self.number}"


def brokers(settings: Settings) -> tuple[Node, ...]:
    """The Kafka brokers."""
    return _nodes(settings, "kafka", settings.hosts.kafka, len(CLUSTER))


def cassandras(settings: Settings) -> tuple[Node, ...]:
    """The Cassandra nodes."""
    return _nodes(settings, "cassandra", settings.hosts.cassandra, len(CLUSTER))


def workers(settings: Settings) -> tuple[Node, ...]:
    """The Spark workers."""
    return _nodes(settings, "spark-worker", settings.hosts.spark_worker, WORKERS)


def names(nodes: tuple[Node, ...]) -> tuple[str, ...]:
    """The names of the services that are these nodes."""
    return tuple(node.name for node in nodes)


def beneath_the_stream(settings: Settings) -> tuple[str, ...]:
    """The services that the stream waits for. It is the longest start of all, so theirs come first."""
    return names((*brokers(settings), *cassandras(settings), *workers(settings)))


def _nodes(settings: Settings, kind: str, host: str, count: int) -> tuple[Node, ...]:
    if settings.stack.profile == "single":
        return (Node(kind, 1, host, settings.stack.listen, LOOPBACK),)
    return tuple(
        Node(kind, number, address, address, address) for number, address in enumerate(CLUSTER[:count], start=1)
    )
