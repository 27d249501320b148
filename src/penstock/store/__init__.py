"""Cassandra: the table made from the declaration, its rows looked up, and Spark's way to write them.

`Store` speaks through the Python driver; `penstock.store.connector`, which needs pyspark, through the Spark Cassandra
Connector.
"""

from penstock.store.table import Row, Store

__all__ = ["Row", "Store"]
