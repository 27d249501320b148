"""How Spark reaches Kafka, and its sink for the dead letters."""

from pyspark.sql import DataFrame

from penstock.broker import LARGEST_LETTER_BYTES
from penstock.config import KafkaSettings


def kafka_options(settings: KafkaSettings) -> dict[str, str]:
    """How Spark's Kafka source and sink reach the broker. Holds the password: never for a log.

    Names: https://kafka.apache.org/39/documentation.html#consumerconfigs, with Spark's prefix `kafka.`.
    """
    options = {
        "kafka.bootstrap.servers": settings.bootstrap_servers,
        "kafka.security.protocol": settings.security_protocol,
    }
    if settings.sasl_mechanism:
        options["kafka.sasl.mechanism"] = settings.sasl_mechanism
        options["kafka.sasl.jaas.config"] = _jaas(settings)
    if settings.ssl_ca_location:
        options["kafka.ssl.truststore.type"] = "PEM"
        options["kafka.ssl.truststore.location"] = settings.ssl_ca_location
    return options


def _jaas(settings: KafkaSettings) -> str:
    module = "scram.Scram" if settings.sasl_mechanism.startswith("SCRAM") else "plain.Plain"
    name, password = (
        text.replace("\\", "\\\\").replace('"', '\\"')
        for text in (settings.sasl_username, settings.sasl_password.get_secret_value())
    )
    return f'org.apache.kafka.common.security.{module}LoginModule required username="{name}" password="{password}";'


def write_letters(letters: DataFrame, settings: KafkaSettings) -> None:
    """Publishes what `transform.rejected` or `transform.resolved` gave; returns when every one is acknowledged."""
    (
        letters.write.format("kafka")
        .options(**kafka_options(settings))
        .option("kafka.acks", "all")
        .option("kafka.enable.idempotence", "true")
        .option("kafka.compression.type", "zstd")
        .option("kafka.max.request.size", str(LARGEST_LETTER_BYTES))
        .option("kafka.delivery.timeout.ms", str(round(settings.delivery_timeout_s * 1_000)))
        .save()
    )
