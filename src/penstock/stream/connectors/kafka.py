"""How Spark reads Kafka, and how its tasks publish the dead letters."""

from collections.abc import Mapping

from penstock.config import KafkaSettings
from penstock.kafka.client import READER, WRITER
from penstock.network import tls

_LARGEST_UNPACKED_BYTES = str(64 * 1024 * 1024)
# How long the source waits for one broker before it asks who leads now; Spark asks three times. Kafka's own 60 s were a
# standstill of 60 s when one of three brokers was lost.
# Names: https://kafka.apache.org/39/documentation.html#adminclientconfigs
_PATIENCE = {"kafka.request.timeout.ms": "10000", "kafka.default.api.timeout.ms": "15000"}


def kafka_options(settings: KafkaSettings) -> dict[str, str]:
    """How Spark's Kafka source and sink reach the broker. Holds password and key: never for a log.

    Names: https://kafka.apache.org/39/documentation.html#consumerconfigs, with Spark's prefix `kafka.`.
    """
    options = {
        "kafka.bootstrap.servers": settings.bootstrap_servers,
        "kafka.security.protocol": settings.security_protocol,
    }
    if settings.sasl_mechanism:
        options["kafka.sasl.mechanism"] = settings.sasl_mechanism
        options["kafka.sasl.jaas.config"] = _jaas(settings)
    return {**options, **_tls(settings)} if settings.security_protocol.endswith("SSL") else options


def source_options(settings: KafkaSettings) -> dict[str, str]:
    """How Spark's Kafka source reads: as every reader of `broker` does. Not for a log either."""
    return {**kafka_options(settings), **_prefixed(READER), **_PATIENCE}


def _prefixed(options: Mapping[str, str]) -> dict[str, str]:
    return {f"kafka.{name}": value for name, value in options.items()}


def _tls(settings: KafkaSettings) -> dict[str, str]:
    """Contents in place of files: only this machine needs to have the files, no executor."""
    verify = settings.ssl_endpoint_identification_algorithm
    options: dict[str, str] = {"kafka.ssl.endpoint.identification.algorithm": "" if verify == "none" else verify}
    if settings.ssl_ca_location:
        options["kafka.ssl.truststore.type"] = "PEM"
        options["kafka.ssl.truststore.certificates"] = tls.trusted_pem(settings.ssl_ca_location)
    password = settings.ssl_key_password.get_secret_value()
    who = tls.identity(settings.ssl_certificate_location, settings.ssl_key_location, password)
    if who:
        options["kafka.ssl.keystore.type"] = "PEM"
        options["kafka.ssl.keystore.certificate.chain"] = who.chain_pem()
        options["kafka.ssl.keystore.key"] = who.key_pem()
    return options


def _jaas(settings: KafkaSettings) -> str:
    module = "scram.Scram" if settings.sasl_mechanism.startswith("SCRAM") else "plain.Plain"
    name, password = (
        text.replace("\\", "\\\\").replace('"', '\\"')
        for text in (settings.sasl_username, settings.sasl_password.get_secret_value())
    )
    return f'org.apache.kafka.common.security.{module}LoginModule required username="{name}" password="{password}";'


def letter_options(settings: KafkaSettings) -> dict[str, str]:
    """How the sink publishes dead letters: acknowledged by all replicas, each once. Not for a log either."""
    delivery_ms = round(settings.delivery_timeout_s * 1_000)
    return {
        **kafka_options(settings),
        # The partition of a key is by Java's own choice the one that `broker.publish` asks for.
        **_prefixed(WRITER),
        # Of many letters at once several share a request; the last ones of an epoch do not wait.
        "kafka.linger.ms": "20",
        # Counted before compression, so more than the topic takes: else a letter that is small when packed never goes.
        "kafka.max.request.size": _LARGEST_UNPACKED_BYTES,
        "kafka.buffer.memory": _LARGEST_UNPACKED_BYTES,
        "kafka.delivery.timeout.ms": str(delivery_ms),
        # Java's producer refuses a delivery that is over before one request is; 30 s is its own limit of a request.
        "kafka.request.timeout.ms": str(min(30_000, delivery_ms // 2)),
        "kafka.max.block.ms": str(delivery_ms),
    }
