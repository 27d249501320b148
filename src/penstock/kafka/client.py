"""The options of every Kafka client, and errors of Kafka in words that say what to look at."""

import logging
from typing import Any

from confluent_kafka import KafkaError

from penstock.config import KafkaSettings
from penstock.errors import BrokerError

log = logging.getLogger(__name__)

# A dead letter is its original plus headers, so it must be allowed to be larger than any message of the topic.
LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
LARGEST_LETTER_BYTES = LARGEST_MESSAGE_BYTES + 1024 * 1024

# librdkafka and Java's clients have the same names for these, and other defaults for most: docs/decisions/181.
_BOTH = {
    # Brokers that all moved since they were asked for: the addresses of the settings count again.
    "metadata.recovery.strategy": "rebootstrap",
}
READER = {
    **_BOTH,
    # Only what no transaction may take back; what stands behind an open one is not there yet.
    "isolation.level": "read_committed",
    "check.crcs": "true",
    # A topic that was deleted is missed, and not made again with whatever the broker's defaults are.
    "allow.auto.create.topics": "false",
}
"""Options of every reader of a topic, of Spark's too."""
WRITER = {
    **_BOTH,
    "acks": "all",
    "enable.idempotence": "true",  # also keeps the order within a partition
    "compression.type": "zstd",  # half of lz4 on disk at the same speed: decisions/050
}
"""Options of every writer, of Spark's too."""

_UNREACHABLE = frozenset(
    (KafkaError._TIMED_OUT, KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
)


class Client:
    """Options of every librdkafka client, and the last message about a broken connection.

    The message matters because librdkafka's errors say no more than "timed out".
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.address = settings.bootstrap_servers
        self.timeout_s = settings.delivery_timeout_s
        self._settings = settings
        self._last = ""

    def options(self, **more: Any) -> dict[str, Any]:
        """Address, SASL, TLS and `more`, whose names are librdkafka's with `_` for `.`.

        Options: https://github.com/confluentinc/librdkafka/blob/v2.16.0/CONFIGURATION.md
        """
        settings = self._settings
        verify = settings.ssl_endpoint_identification_algorithm
        optional = {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.sasl_username,
            "sasl.password": settings.sasl_password.get_secret_value(),
            "ssl.ca.location": settings.ssl_ca_location,
            "ssl.certificate.location": settings.ssl_certificate_location,
            # librdkafka does not look for the key in the certificate's file by itself.
            "ssl.key.location": settings.ssl_key_location or settings.ssl_certificate_location,
            # `https` is librdkafka's own, and Java's.
            "ssl.endpoint.identification.algorithm": "none" if verify == "none" else "",
            "ssl.key.password": settings.ssl_key_password.get_secret_value(),
        }
        return {
            "bootstrap.servers": settings.bootstrap_servers,
            "client.id": "penstock",
            "security.protocol": settings.security_protocol,
            # A broker that comes up late is found within a second; the default is ten.
            "reconnect.backoff.max.ms": 1_000,
            # librdkafka would write every failed connection to stderr; `keep` gets them too.
            "log_level": 0,
            "error_cb": self.keep,
            **{name: value for name, value in optional.items() if value},
            **{name.replace("_", "."): value for name, value in more.items()},
        }

    def admin_options(self) -> dict[str, Any]:
        """The options of a client that asks about the cluster, or changes it.

        librdkafka leaves the address that was set for those that the brokers give. Where these lead nowhere, it comes
        back between two attempts: seconds with its own pauses (100 ms, doubled each time), and a tenth of one with
        these. If it does not, it begins anew after a second, and not after its five minutes. Likewise it asks every two
        seconds which broker is the controller: if that one is gone, every request waits for it until it asks again.
        """
        return self.options(
            reconnect_backoff_ms=10,
            reconnect_backoff_max_ms=100,
            metadata_recovery_rebootstrap_trigger_ms=1_000,
            topic_metadata_refresh_interval_ms=2_000,
        )

    def keep(self, error: KafkaError) -> None:
        """Called by librdkafka while a client is polled; it goes on trying by itself."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # says no more than what was said for each
            return
        if not self._last:
            log.warning("kafka %s: %s; trying again", self.address, error.str())
        self._last = error.str()

    def explain(self, error: KafkaError) -> str:
        """What failed and, where no broker was reached, what to look at."""
        said = f"{error.str()} ({error.name()})"
        if error.code() not in _UNREACHABLE:
            return said
        last = f", the last connection: {self._last}" if self._last else ""
        return (
            f"{said}{last}. Is Kafka running at {self.address} (`penstock status`)? Another address is the setting "
            "kafka.bootstrap_servers; an address here that you never gave is one of the broker's advertised.listeners"
        )

    def error(self, doing: str, error: KafkaError) -> BrokerError:
        return BrokerError(f"{doing} on {self.address} failed: {self.explain(error)}.")
