"""Which plans the sink takes apart into steps that an executor keeps."""

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.errors import IllegalArgumentException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.stream.judge import transform
from penstock.stream.sink import outgoing
from penstock.users import USERS
from tests.spark.corpus import KAFKA


def planned(spark: SparkSession, made: Callable[[DataFrame], DataFrame]) -> Any:
    """The sink's view of what is made of a relation with Kafka's columns."""
    java: Any = spark
    relation = spark.createDataFrame(spark.sparkContext.emptyRDD(), KAFKA)
    return java._jvm.penstock.stream.Judgement.of("users", made(relation)._jdf)


def test_the_judge_of_a_pipeline_is_made_of_steps(spark: SparkSession) -> None:
    assert planned(spark, lambda messages: outgoing(transform(messages, USERS), USERS))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda messages: messages.groupBy("partition").count(), "not a step of one row"),
        (lambda messages: messages.orderBy("offset"), "not a step of one row"),
        (lambda messages: messages.withColumn("now", F.current_timestamp()), "the present time"),
    ],
)
def test_what_no_message_decides_by_itself_is_refused(
    spark: SparkSession, made: Callable[[DataFrame], DataFrame], why: str
) -> None:
    with pytest.raises(IllegalArgumentException, match=why):
        planned(spark, made)
