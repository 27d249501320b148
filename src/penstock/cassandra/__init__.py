"""Cassandra: the table made from the declaration, its rows looked up, and Spark's way to write them.

`Store` speaks through the Python driver; `Counts` keeps what ingest and stream say of themselves, in tables of ours;
`penstock.stream.connectors.cassandra`, which needs pyspark, writes through the Spark Cassandra Connector.
"""

from penstock.cassandra.commitlog import durable
from penstock.cassandra.counts import Batch, Counts, Flow, Report, RunCounts, Tally
from penstock.cassandra.properties import Property, properties
from penstock.cassandra.table import Row, Store

__all__ = [
    "Batch",
    "Counts",
    "Flow",
    "Property",
    "Report",
    "Row",
    "RunCounts",
    "Store",
    "Tally",
    "durable",
    "properties",
]
