"""The streaming app: it carries Kafka's topics, through the `judge`, into tables and dead letters, with Spark.

At least once with an idempotent sink: an epoch is committed to the checkpoint when Cassandra has acknowledged its good
rows and Kafka its dead letters. One that was not is done again after a restart, and writes the same again.

All that needs pyspark is here and nowhere else. Accounts are taken in `audit`; the processes of Spark's cluster are in
`servers`.
"""

from penstock.stream.app import Options, run
from penstock.stream.epochs import BEFORE_COMMIT, BEFORE_COUNTS, BEFORE_ROWS, Seams
from penstock.stream.progress import checkpoint
from penstock.stream.proof import prove
from penstock.stream.rebuild import rebuild

__all__ = ["BEFORE_COMMIT", "BEFORE_COUNTS", "BEFORE_ROWS", "Options", "Seams", "checkpoint", "prove", "rebuild", "run"]
