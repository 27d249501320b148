"""One local Spark for the whole suite, on the Java that the stack runs on."""

import os
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from penstock.config import Settings
from penstock.servers.java import find_java


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Local Spark with two threads; its tables and views are nobody's in particular."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JAVA_HOME", str(find_java(Settings()).home))
        environment.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = (
            SparkSession.builder.master("local[2]")
            .appName("penstock-tests")
            .config("spark.driver.memory", "768m")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.session.timeZone", "UTC")
            .getOrCreate()
        )
        assert os.environ["JAVA_HOME"]
        yield session
        session.stop()
