"""Cassandra through its Python driver: the table, its rows, the counts, and when a write is on the disk.

`Store` is the connection; `Counts` keeps what ingest and stream report, in tables of ours. Spark does not belong here:
how it writes the table is in `stream.connectors`. Nor does the server of the local stack, which is in `servers`.
"""

from penstock.cassandra.commitlog import confirm, durable, starts
from penstock.cassandra.counts import COUNT_TABLES, Batch, Counted, Counts, Flow, Newest, Report, RunCounts, Tally
from penstock.cassandra.properties import Property, properties
from penstock.cassandra.table import Row, Store

__all__ = [
    "COUNT_TABLES",
    "Batch",
    "Counted",
    "Counts",
    "Flow",
    "Newest",
    "Property",
    "Report",
    "Row",
    "RunCounts",
    "Store",
    "Tally",
    "confirm",
    "durable",
    "properties",
    "starts",
]
