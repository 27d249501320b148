"""The halves of what the judge makes of messages, as the sink publishes them."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.pipelines.contract import Pipeline
from penstock.stream.judge import letter


def rejected(transformed: DataFrame, pipeline: Pipeline) -> DataFrame:
    """Topic, key, value and headers of the dead letters."""
    return _published(transformed.where(F.col("reason").isNotNull()), pipeline)


def resolved(transformed: DataFrame, pipeline: Pipeline) -> DataFrame:
    """The same of the resolutions."""
    return _published(transformed.where(F.col("reason").isNull()), pipeline)


def _published(transformed: DataFrame, pipeline: Pipeline) -> DataFrame:
    letters = transformed.select(letter(pipeline).alias("letter")).where(F.col("letter").isNotNull()).select("letter.*")
    # As the sink does.
    return letters.withColumn("headers", F.filter("headers", lambda header: header["value"].isNotNull()))
