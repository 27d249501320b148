"""The code of the tutorials for this path, with its bugs fixed and the connectors' defaults.

Started by `peers.spark.tutorial` with what differs between machines: addresses, ports, folders.
"""

import json
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it
from pyspark.sql.types import StringType, StructField, StructType

COLUMNS = (
    *("id", "first_name", "last_name", "gender", "address", "post_code", "email", "username"),
    *("registered_date", "phone", "picture"),
)
SCHEMA = StructType([StructField(name, StringType(), name != "id") for name in COLUMNS])


def main() -> None:
    """Runs until it is told to stop."""
    given = json.loads(sys.argv[1])
    spark = SparkSession.builder.appName("SparkDataStreaming").config(map=given["spark"]).getOrCreate()
    messages = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", given["kafka"])
        .option("subscribe", given["topic"])
        .option("startingOffsets", given["starting_offsets"])
        .load()
    )
    records = (
        messages.selectExpr("CAST(value AS STRING)")
        .select(F.from_json(F.col("value"), SCHEMA).alias("data"))
        .select("data.*")
    )
    query = (
        records.writeStream.format("org.apache.spark.sql.cassandra")
        .option("checkpointLocation", given["checkpoint"])
        .option("keyspace", given["keyspace"])
        .option("table", given["table"])
        .start()
    )
    query.awaitTermination()


if __name__ == "__main__":
    main()
