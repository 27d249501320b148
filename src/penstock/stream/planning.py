"""The plan of a query is optimized once, when the query starts. Spark by itself would do that anew for each epoch, and
nothing is read meanwhile: docs/decisions/265-optimized-once.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from pyspark.sql import DataFrame, SparkSession

_EXCLUDED = "spark.sql.optimizer.excludedRules"
_ONE_AT_A_TIME = Lock()
"""Several pipelines share a session, and its options are everybody's."""


@contextmanager
def optimized(rows: DataFrame) -> Iterator[DataFrame]:
    """The same streaming rows, of which a query that is started inside skips the optimizer's rules that it may skip.

    A plan that asks for the time is left to Spark: optimized once, it would have the time of its start for ever.
    """
    spark: SparkSession = rows.sparkSession
    plan: Any = rows._jdf.queryExecution().analyzed()
    if plan.containsPattern(_catalyst(spark).trees.TreePattern.CURRENT_LIKE()):
        yield rows
        return
    with _ONE_AT_A_TIME:
        session: Any = spark._jsparkSession
        optimizer = session.sessionState().optimizer()
        planned = _classic(spark).Dataset.ofRows(session, optimizer.execute(plan))
        before = spark.conf.get(_EXCLUDED, "")
        # A query has a copy of the session's options, made when it starts.
        spark.conf.set(_EXCLUDED, ",".join([*filter(None, [before]), *_dispensable(optimizer)]))
        try:
            yield DataFrame(planned, spark)
        finally:
            spark.conf.set(_EXCLUDED, before or "")


def _dispensable(optimizer: Any) -> list[str]:
    """The rules that Spark allows to be left out: each makes a plan faster, and none is needed for a right result."""
    needed = set(_each(optimizer.nonExcludableRules()))
    names = (rule.ruleName() for batch in _each(optimizer.defaultBatches()) for rule in _each(batch.rules()))
    return [name for name in dict.fromkeys(names) if name not in needed]


def _each(scala: Any) -> Iterator[Any]:
    iterator = scala.iterator()
    while iterator.hasNext():
        yield iterator.next()


def _catalyst(spark: SparkSession) -> Any:
    jvm: Any = spark.sparkContext._jvm
    return jvm.org.apache.spark.sql.catalyst


def _classic(spark: SparkSession) -> Any:
    jvm: Any = spark.sparkContext._jvm
    return jvm.org.apache.spark.sql.classic
