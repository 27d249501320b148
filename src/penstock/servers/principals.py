"""The one table of who may do what in a secure stack. Kafka's ACLs and Cassandra's grants are made from it.

A principal is a client with credentials of its own. Whatever the table does not allow is refused. Topics, keyspaces and
tables are made by the administrator at `penstock up --secure`, so no client has the right to make, change or drop one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Principal(StrEnum):
    """A client of Kafka and Cassandra; its value is the name of the user, of the role, and in the certificate."""

    INGEST = "ingest"
    """The tasks of Airflow: publish a run's records, then see them arrive."""
    STREAM = "stream"
    """Spark's driver and executors."""
    CONSOLE = "console"
    """The console's page; it may replay and dismiss letters."""
    OPERATOR = "operator"
    """A person's commands: ingest, reconcile, rebuild, trace, dead-letters, doctor."""
    PROBE = "probe"
    """The supervisor, which asks the servers whether they answer."""
    ADMIN = "admin"
    """`penstock up` and `penstock secrets rotate`: makes topics, tables, credentials and rights."""


WITH_PASSWORD = tuple(Principal)
"""Those with a password in Cassandra."""
IN_KAFKA = (Principal.INGEST, Principal.STREAM, Principal.CONSOLE, Principal.OPERATOR)
"""Those with a password in Kafka; the administrator and the probe show a certificate there, on the inner listener."""

TABLE = "the pipeline's table"
"""Stands in `Rights.tables` for the table that a pipeline declares; all other names are those of the counts' tables."""
READER = "penstock-reader"
"""The consumer group that our own readers name. They ask who coordinates it, and never join it."""
SPARK_GROUPS = "spark-kafka-source-"
"""How the names of the consumer groups begin that Spark makes up for its source."""


class Part(NamedTuple):
    """The topics and the table of one pipeline."""

    topic: str
    letters: str
    keyspace: str
    table: str


class Acl(NamedTuple):
    """A right in Kafka: an operation on a topic, or on each group whose name begins so."""

    principal: str
    kind: str
    """`topic`, or `groups`."""
    name: str
    operation: str


class Grant(NamedTuple):
    """A right in Cassandra: a permission on a table."""

    principal: str
    keyspace: str
    table: str
    permission: str


@dataclass(frozen=True)
class Rights:
    """One principal's rights for each pipeline. Operations and permissions have Kafka's and Cassandra's own names."""

    topic: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By how their names begin."""
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_LOOK = ("DESCRIBE", "DESCRIBE_CONFIGS")
_READ = ("READ", *_LOOK)
_WRITE = ("WRITE", *_LOOK)
_BOTH = ("READ", "WRITE", *_LOOK)
_ASK, _SPARK = {READER: ("DESCRIBE",)}, {SPARK_GROUPS: ("READ",)}
_SELECT, _CHANGE = ("SELECT",), ("SELECT", "MODIFY")
_COUNTS = (
    *("penstock_batches", "penstock_counts", "penstock_resolved"),
    *("penstock_runs", "penstock_streams", "penstock_synced"),
)
_SETTINGS = {"system_views.settings": _SELECT}
"""Where a node says how large a batch may be."""

RIGHTS: Mapping[Principal, Rights] = {
    Principal.INGEST: Rights(
        topic=_BOTH,  # its second task compares what it published with what is stored
        letters=_BOTH,
        groups=_ASK,
        tables={
            TABLE: _SELECT,
            **dict.fromkeys(_COUNTS, _SELECT),
            "penstock_runs": _CHANGE,
            "penstock_synced": _CHANGE,
        },
    ),
    Principal.STREAM: Rights(
        topic=_READ,
        letters=_WRITE,
        groups={**_ASK, **_SPARK},
        tables={TABLE: _CHANGE, **dict.fromkeys(_COUNTS, _CHANGE), "penstock_runs": _SELECT, **_SETTINGS},
    ),
    Principal.CONSOLE: Rights(
        topic=_BOTH,  # a letter is replayed onto the topic
        letters=_BOTH,  # and dismissed among the letters
        groups=_ASK,
        tables={TABLE: _SELECT, **dict.fromkeys(_COUNTS, _SELECT)},
    ),
    Principal.OPERATOR: Rights(
        topic=_BOTH,
        letters=_BOTH,
        groups={**_ASK, **_SPARK},  # a rebuild runs a Spark of its own
        tables={TABLE: _CHANGE, **dict.fromkeys(_COUNTS, _CHANGE), **_SETTINGS},
    ),
    Principal.PROBE: Rights(),
    Principal.ADMIN: Rights(),  # a superuser of both, so it needs no rights
}


def acls(parts: Iterable[Part]) -> Iterator[Acl]:
    """Every right in Kafka for these pipelines."""
    parts = tuple(parts)
    for who, rights in RIGHTS.items():
        for part in parts:
            yield from (Acl(who, "topic", part.topic, operation) for operation in rights.topic)
            yield from (Acl(who, "topic", part.letters, operation) for operation in rights.letters)
        for name, operations in rights.groups.items():
            yield from (Acl(who, "groups", name, operation) for operation in operations)


def grants(parts: Iterable[Part]) -> Iterator[Grant]:
    """Every right in Cassandra for these pipelines; pipelines of one keyspace share the tables of the counts."""
    yield from dict.fromkeys(
        Grant(who, *_place(part, name), permission)
        for part in parts
        for who, rights in RIGHTS.items()
        for name, permissions in rights.tables.items()
        for permission in permissions
    )


def _place(part: Part, name: str) -> tuple[str, str]:
    keyspace, _, table = name.rpartition(".")
    return keyspace or part.keyspace, part.table if name == TABLE else table
