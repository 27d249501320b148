"""The table, through the Python driver: made from the declaration, its rows looked up and counted."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from cassandra import DriverException, InvalidRequest
from cassandra.cluster import NoHostAvailable, Session
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.connection import ConnectionException
from cassandra.metadata import TableMetadata
from cassandra.query import PreparedStatement

from penstock.cassandra.connection import cluster_of
from penstock.config import CassandraSettings
from penstock.errors import StoreError
from penstock.pipelines.contract import Column, Pipeline
from penstock.pipelines.keys import key_of_columns

log = logging.getLogger(__name__)

REBUILD = (
    "The messages of topic {topic} are still in Kafka, as far as its retention goes: "
    "`penstock rebuild --from-beginning` writes their rows again, with their own write times."
)

# Requests in flight for one look-up; one node answers no faster with more.
_CONCURRENCY = 64
# Murmur3's tokens: https://cassandra.apache.org/doc/5.0/cassandra/architecture/dynamo.html
_FIRST_TOKEN, _LAST_TOKEN = -(2**63), 2**63 - 1
# Parts of the ring that are counted one by one, so that no request runs into the server's time limit for ranges.
_COUNTED_PARTS = 64
_DROPPED = "SELECT column_name FROM system_schema.dropped_columns WHERE keyspace_name = ? AND table_name = ?"
_LIFETIME = """
SELECT default_time_to_live AS ttl, toUnixTimestamp(now()) AS now_ms FROM system_schema.tables
WHERE keyspace_name = ? AND table_name = ?
"""
# A size as Cassandra says it; 4.0 leaves the unit out.
_KIB = re.compile(r"(\d+)(?:KiB)?")
_LEARNS_OF = "Unknown CF"
"""What a node of Cassandra says of a table that it is about to learn of, before it says that there is none or one."""
_FOREIGN = (DriverException, NoHostAvailable, ConnectionException)
"""What the driver raises; `RequestExecutionException` and its kin are `DriverException`s."""


@dataclass(frozen=True)
class Row:
    """One row: its values by column, and when each cell that is set was written.

    Times are aware. `written_us` is in microseconds since 1970, without the key's cells, which have none.
    """

    values: Mapping[str, Any]
    written_us: Mapping[str, int]


class Store:
    """A session with Cassandra, as a context manager; whatever the driver raises comes out as `StoreError`."""

    def __init__(self, settings: CassandraSettings) -> None:
        self._settings = settings
        self._closing = ExitStack()
        self._prepared: dict[str, PreparedStatement] = {}

    def __enter__(self) -> Self:
        with self._translated("connecting"):
            nodes = cluster_of(self._settings)
            self._closing.callback(nodes.shutdown)
            try:
                self._session: Session = nodes.connect()
            except BaseException:
                self._closing.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def ensure_table(self, pipeline: Pipeline) -> None:
        """Makes keyspace and table where they are absent, and waits until all nodes agree on them.

        A keyspace that exists keeps its replication. A table that lacks nothing but optional columns gets them.

        Raises:
            StoreError: the table exists and is not the declared one in another way; names every difference.
        """
        name = f"{pipeline.keyspace}.{pipeline.table}"
        found = self._table(pipeline)
        if found is None:
            self.ensure_keyspace(pipeline)
            self.define(pipeline.create_table())
            # Where another client was first, nothing changed, and the driver looks at nothing again by itself.
            with self._translated(f"reading the schema of {name}"):
                self._session.cluster.refresh_schema_metadata()
            found = self._table(pipeline)
            log.info("table %s: created", name)
        if found is None:
            raise StoreError(f"table {name} was created on {self._address}, but is not in its schema")
        if added := self._lacking(pipeline, found):
            self.define(f"ALTER TABLE {name} ADD ({', '.join(f'{column.name} {column.cql}' for column in added)})")
            log.info("table %s: added %s", name, ", ".join(column.name for column in added))
            found = self._table(pipeline) or found
        self._check(pipeline, found)

    def addable(self, pipeline: Pipeline) -> list[str]:
        """The columns that `ensure_table` would add to a table that is there."""
        found = self._table(pipeline)
        return [column.name for column in self._lacking(pipeline, found)] if found else []

    def _lacking(self, pipeline: Pipeline, table: TableMetadata) -> list[Column]:
        """Optional columns that the table never had, if that is all in which it is another than the declared one.

        Of one that was dropped Cassandra would hide the values of older records, so it is not added again.
        """
        absent = [column for column in pipeline.columns if column.name not in table.columns]
        if not absent or len(_differences(pipeline, table)) > len(absent):
            return []
        dropped = {row["column_name"] for row in self.execute(_DROPPED, (pipeline.keyspace, pipeline.table))}
        return [] if any(column.required or column.name in dropped for column in absent) else absent

    def check_table(self, pipeline: Pipeline) -> None:
        """Raises StoreError when the table is not the declared one, or not there at all."""
        found = self._table(pipeline)
        if found is None:
            raise StoreError(
                f"table {pipeline.keyspace}.{pipeline.table} is not there (any more) on {self._address}. "
                f"{REBUILD.format(topic=pipeline.topic)}"
            )
        self._check(pipeline, found)

    def table_id(self, pipeline: Pipeline) -> str:
        """Cassandra's id of the table, which one of the same name made later does not have; empty without a table."""
        cql = "SELECT id FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?"
        return "".join(str(row["id"]) for row in self.execute(cql, (pipeline.keyspace, pipeline.table)))

    def expired_ms(self, pipeline: Pipeline) -> int | None:
        """Rows written at or before this moment, in milliseconds since 1970, have outlived their time to live, by
        Cassandra's own clock; None where they have none. That is the declaration's, else the table's default.
        """
        found = self.execute(_LIFETIME, (pipeline.keyspace, pipeline.table))
        declared = 0 if pipeline.ttl is None else round(pipeline.ttl.total_seconds())
        lives = [(row["now_ms"] // 1_000, declared or row["ttl"]) for row in found]
        # Cassandra counts in whole seconds.
        return max(((now_s - ttl_s) * 1_000 + 999 for now_s, ttl_s in lives if ttl_s), default=None)

    def ensure_keyspace(self, pipeline: Pipeline) -> None:
        """Makes the keyspace if it is absent."""
        if pipeline.keyspace not in self._session.cluster.metadata.keyspaces:
            self.define(_create_keyspace(pipeline, self._settings))

    def has_table(self, keyspace: str, table: str) -> bool:
        """Whether there is such a table, asked anew: another client may make it. A node lists one before it answers."""
        cql = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?"
        if not self.execute(cql, (keyspace, table)):
            return False
        with self._translated(f"asking for table {keyspace}.{table}"):
            try:
                self._session.prepare(f"SELECT * FROM {keyspace}.{table}")  # noqa: S608 - names of the declaration
            except InvalidRequest:
                return False
            except NoHostAvailable as error:
                if not all(_LEARNS_OF in str(each) for each in error.errors.values()):
                    raise
                return False
        return True

    def has_column(self, keyspace: str, table: str, column: str) -> bool:
        """Whether there is such a column; asked anew."""
        cql = "SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?"
        return any(row["column_name"] == column for row in self.execute(cql, (keyspace, table)))

    def define(self, cql: str, shown: str = "") -> None:
        """Changes the schema; returns when all nodes agree on it. An error holds `shown`, where `cql` has a secret."""
        with self._translated(shown or cql):
            result = self._session.execute(cql)
        if not result.response_future.is_schema_agreed:
            raise StoreError(
                f"the nodes at {self._address} did not agree on: {shown or cql}. Is every node up? See nodetool."
            )

    def write_after(self, written_us: int) -> None:
        """Makes everything that this session writes without a time of its own newer than that write time.

        Cassandra keeps what has the later time, by the clocks of those who wrote: a clock that was ahead, and was set
        right since, would hide what is written now.
        """
        generator = self._session.cluster.timestamp_generator
        with generator.lock:
            generator.last = max(generator.last, written_us)

    def execute(self, cql: str, values: tuple[Any, ...]) -> list[Mapping[str, Any]]:
        """The rows that a small statement returns. It must be idempotent: it is sent again when a node is lost."""
        statement = self._prepare(cql)
        with self._translated(cql):
            return list(self._session.execute(statement, values))

    def execute_each(self, cql: str, values: Iterable[tuple[Any, ...]]) -> None:
        """An idempotent statement for each of the `values`; returns when all of them are acknowledged."""
        statement, rest = self._prepare(cql), iter(values)
        while batch := list(islice(rest, _CONCURRENCY * 16)):
            for _ in self._concurrently(statement, batch, cql):
                pass

    def rows(self, pipeline: Pipeline, ids: Iterable[Any]) -> Iterator[Row]:
        """The rows of these keys (`identity.key_of`), in no order; a key without a row gives nothing.

        Memory does not grow with the ids.
        """
        where = " AND ".join(f"{name} = ?" for name in pipeline.keys.names)
        select = self._select(pipeline, _cells(pipeline), f"WHERE {where}")
        keys = (key if isinstance(key, tuple) else (key,) for key in ids)
        while batch := list(islice(keys, _CONCURRENCY * 16)):
            for found in self._concurrently(select, batch, f"reading {len(batch)} rows of {pipeline.table}"):
                yield from (_row(pipeline, row) for row in found)

    def any_rows(self, pipeline: Pipeline, limit: int, key: tuple[Any, ...] = ()) -> list[Row]:
        """Up to `limit` rows: of all, in the order of the keys' hashes; or, in that of the table, of those whose key
        begins with these values, which are the partition's at least.

        Raises:
            StoreError: there is no table, or no answer.
        """
        if not self.has_table(pipeline.keyspace, pipeline.table):
            name = f"{pipeline.keyspace}.{pipeline.table}"
            raise StoreError(f"table {name} is not there on {self._address}; `penstock stream` makes it")
        where = " AND ".join(f"{name} = ?" for name in pipeline.keys.names[: len(key)])
        select = self._select(pipeline, _cells(pipeline), f"{where and f'WHERE {where} '}LIMIT ?")
        with self._translated(f"reading {limit} rows of {pipeline.table}"):
            return [_row(pipeline, row) for row in self._session.execute(select, (*key, limit))]

    def count(self, pipeline: Pipeline) -> int:
        """The number of rows. Reads the whole table: meant for tests and small tables."""
        token = f"token({', '.join(pipeline.keys.partition)})"
        select = self._select(pipeline, "count(*) AS n", f"WHERE {token} >= ? AND {token} <= ?")
        width = (_LAST_TOKEN - _FIRST_TOKEN + 1) // _COUNTED_PARTS
        parts = [(first, first + width - 1) for first in range(_FIRST_TOKEN, _LAST_TOKEN, width)]
        return sum(row["n"] for [row] in self._concurrently(select, parts, f"counting {pipeline.table}", 4))

    def batch_limit_bytes(self) -> int:
        """Size of a batch beyond which the nodes refuse it, as one of them says; 0 where they do not say."""
        names = ("batch_size_fail_threshold", "batch_size_fail_threshold_in_kb")  # the latter in 4.0
        try:
            found = self.execute("SELECT value FROM system_views.settings WHERE name IN ?", (names,))
        except StoreError as error:  # older than 4.0, not Apache's, or not for this user
            log.info("the nodes do not say how large a batch may be: %s", error)
            return 0
        sizes = [_KIB.fullmatch(row["value"] or "") for row in found]
        return next((int(size[1]) * 1024 for size in sizes if size), 0)

    @property
    def commit_log_lag_s(self) -> float:
        """How long after its acknowledgement a write may not be on the disk; 0 if never."""
        return self._settings.commit_log_lag_ms / 1_000

    @property
    def _address(self) -> str:
        return f"{self._settings.contact_points}:{self._settings.port}"

    def _table(self, pipeline: Pipeline) -> TableMetadata | None:
        metadata = self._session.cluster.metadata
        keyspace = metadata.keyspaces.get(pipeline.keyspace)
        return keyspace.tables.get(pipeline.table) if keyspace else None

    def _check(self, pipeline: Pipeline, found: TableMetadata) -> None:
        differences = _differences(pipeline, found)
        if differences:
            raise StoreError(
                f"table {pipeline.keyspace}.{pipeline.table} on {self._address} is not the declared one: "
                f"{'; '.join(differences)}. Nothing was changed. Two ways on: let the declaration say again what the "
                "table has (or the table, by ALTER TABLE, what the declaration says); or name another table in the "
                "declaration, and `penstock rebuild --from-beginning` fills it from the topic."
            )

    def _select(self, pipeline: Pipeline, what: str, which: str) -> PreparedStatement:
        return self._prepare(f"SELECT {what} FROM {pipeline.keyspace}.{pipeline.table} {which}")  # noqa: S608 - names of the declaration

    def _prepare(self, cql: str) -> PreparedStatement:
        if cql not in self._prepared:
            with self._translated(cql):
                statement = self._session.prepare(cql)
            # Asked again elsewhere when a node is lost: https://docs.datastax.com/en/developer/python-driver/3.29/
            statement.is_idempotent = True
            self._prepared[cql] = statement
        return self._prepared[cql]

    def _concurrently(
        self,
        statement: PreparedStatement,
        parameters: list[tuple[Any, ...]],
        doing: str,
        concurrency: int = _CONCURRENCY,
    ) -> Iterator[Any]:
        with self._translated(doing):
            results = execute_concurrent_with_args(
                self._session, statement, parameters, concurrency=concurrency, results_generator=True
            )
            for result in results:
                yield result.result_or_exc

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except _FOREIGN as error:
            place = f"cassandra at {self._address} (datacenter {self._settings.datacenter})"
            raise StoreError(f"{place}: {doing} failed: {_cause(error)}. {_remedy(error)}") from error


def _remedy(error: Exception) -> str:
    if str(error).startswith("Failed decoding"):  # of the driver's protocol.py
        return "Another program wrote a value that Python cannot hold: read and correct it with cqlsh"
    return (
        "Is it up (`penstock status`, `penstock logs cassandra`), and are the address, the datacenter and the "
        "credentials the right ones?"
    )


def _create_keyspace(pipeline: Pipeline, settings: CassandraSettings) -> str:
    replication = f"{{'class': 'NetworkTopologyStrategy', '{settings.datacenter}': {settings.replication_factor}}}"
    return f"CREATE KEYSPACE IF NOT EXISTS {pipeline.keyspace} WITH replication = {replication}"


def _differences(pipeline: Pipeline, table: TableMetadata) -> list[str]:
    declared = {column.name: column.cql for column in pipeline.columns}
    found = {name: column.cql_type for name, column in table.columns.items()}
    clustering = ((column.name, column.is_reversed) for column in table.clustering_key)
    key = key_of_columns((column.name for column in table.partition_key), clustering)
    return [
        *([f"its key is {key}, declared is {pipeline.keys}"] if str(key) != str(pipeline.keys) else []),
        *(f"{name} is static" for name in declared if name in found and table.columns[name].is_static),
        *(f"{name} is absent" for name in declared.keys() - found.keys()),
        *(f"{name} is not declared" for name in found.keys() - declared.keys()),
        *(
            f"{name} is {found[name]}, declared is {cql}"
            for name, cql in declared.items()
            if found.get(name, cql) != cql
        ),
    ]


def _cells(pipeline: Pipeline) -> str:
    """The columns that a SELECT names to make a `Row`: the values, and the write time of each cell."""
    names = [column.name for column in pipeline.columns]
    times = (f"writetime({column.name}) AS {_written(column.name)}" for column in pipeline.cells)
    return ", ".join([*names, *times])


def _written(name: str) -> str:
    return f"written_us_of_{name}"


def _row(pipeline: Pipeline, found: Mapping[str, Any]) -> Row:
    names = [column.name for column in pipeline.columns]
    written = {name: found.get(_written(name)) for name in names}
    return Row(
        values={column.name: _value(column, found[column.name]) for column in pipeline.columns},
        written_us={name: at for name, at in written.items() if at is not None},
    )


def _value(column: Column, given: Any) -> Any:
    return None if given is None else column.kind.from_driver(given)


def _cause(error: Exception) -> str:
    """The driver's message; where several nodes were asked, the message of each that it knows."""
    if isinstance(error, NoHostAvailable) and isinstance(error.errors, Mapping):
        return "; ".join(f"{host}: {_cause(each)}" for host, each in error.errors.items()) or "no node answers"
    if isinstance(error, NoHostAvailable):
        return f"no node of that datacenter among {', '.join(map(str, error.errors))}"
    return str(error) or type(error).__name__
