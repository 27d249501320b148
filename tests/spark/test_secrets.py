"""What Spark is given for Kafka and Cassandra means the password that was set, whatever signs it has."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from py4j.java_gateway import get_field
from pydantic import SecretStr
from pyspark import SparkConf
from pyspark.sql import SparkSession

from penstock.config import CassandraSettings, KafkaSettings, Settings
from penstock.stream.connectors.cassandra import spark_conf
from penstock.stream.connectors.kafka import kafka_options

printable = st.text(st.characters(exclude_categories=["Cc", "Cs"]))
some = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PASSWORD = "spark.cassandra.auth.password"
QUOTED = ord('"')


@some
@given(password=printable)
def test_java_reads_every_password_from_the_jaas_text(spark: SparkSession, password: str) -> None:
    kafka = KafkaSettings(sasl_mechanism="PLAIN", sasl_username=password, sasl_password=SecretStr(password))
    text = kafka_options(kafka)["kafka.sasl.jaas.config"]
    assert quoted_parts(spark, text) == [password, password]


def quoted_parts(spark: SparkSession, text: str) -> list[str]:
    """As `JaasConfig` of Kafka 3.9 reads it."""
    java: Any = spark._jvm.java.io  # type: ignore[union-attr]
    tokens = java.StreamTokenizer(java.StringReader(text))
    tokens.slashSlashComments(True)
    tokens.slashStarComments(True)
    found = []
    while (kind := tokens.nextToken()) != java.StreamTokenizer.TT_EOF:
        if kind == QUOTED:
            found.append(get_field(tokens, "sval"))
    return found


@some
@given(password=printable)
def test_spark_keeps_every_password_as_it_is(spark: SparkSession, password: str) -> None:
    cassandra = CassandraSettings(username="penstock", password=SecretStr(password))
    options = spark_conf(cassandra, Settings().home)
    conf = SparkConf(loadDefaults=False, _jvm=spark._jvm).setAll([*options.items()])
    assert conf.get(PASSWORD) == password
