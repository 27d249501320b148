"""The settings with which each client of a secure stack calls Kafka, Cassandra and Spark: credentials of its own."""

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from penstock.config import CassandraSettings, KafkaSettings, Settings
from penstock.servers import authority
from penstock.servers.data_format import is_secure
from penstock.servers.nodes import brokers
from penstock.servers.principals import WITH_PASSWORD, Principal
from penstock.servers.secrets import Passwords, passwords

SPARK = "spark"
"""The name of the secret that Spark's processes share."""
MECHANISM = "SCRAM-SHA-512"

SPARK_OPTIONS: Mapping[str, str] = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
}
"""Who does not know the secret is not answered, and what is said is encrypted (AES).

https://spark.apache.org/docs/4.2.0/security.html
"""


EVERY = (*WITH_PASSWORD, SPARK)
"""The names of all that have a password."""


def secrets_of(settings: Settings, names: Iterable[str] = EVERY) -> Passwords:
    """These passwords of the stack, made where there is none yet.

    Raises:
        ConfigError: this process is given its passwords, and has not all of these.
    """
    return passwords(settings, names)


def spark_secret(settings: Settings) -> str:
    """The secret by which Spark's master, workers, driver and executors know each other."""
    return secrets_of(settings, (SPARK,)).now[SPARK].get_secret_value()


def as_principal(settings: Settings, who: Principal) -> Settings:
    """The same settings with the credentials of this client; unchanged where the stack is open.

    Settings of another Kafka or Cassandra, or with a user of its own, are left alone.
    """
    if not is_secure(settings):
        return settings
    local = settings.of_local_stack()
    sections: dict[str, object] = {}
    if settings.kafka.bootstrap_servers == local.kafka.bootstrap_servers and not settings.kafka.sasl_username:
        sections["kafka"] = _kafka(settings, who, _password(settings, who))
    same = (settings.cassandra.contact_points, settings.cassandra.port) == (
        local.cassandra.contact_points,
        local.cassandra.port,
    )
    if same and not settings.cassandra.username:
        sections["cassandra"] = cassandra_settings(settings, who, _password(settings, who))
    if settings.has_own_master and who is Principal.STREAM:
        shared = {**SPARK_OPTIONS, "spark.authenticate.secret": spark_secret(settings)}
        sections["spark"] = settings.spark.model_copy(update={"conf": {**settings.spark.conf, **shared}})
    return settings.model_copy(update=sections)


def _password(settings: Settings, who: Principal) -> SecretStr:
    return secrets_of(settings, (who,)).now[who]


def _kafka(settings: Settings, who: Principal, password: SecretStr) -> KafkaSettings:
    if who in (Principal.ADMIN, Principal.PROBE):
        return by_certificate(settings, who)
    login = {"sasl_mechanism": MECHANISM, "sasl_username": str(who), "sasl_password": password}
    trust = {"security_protocol": "SASL_SSL", "ssl_ca_location": str(authority.trusted(settings))}
    return settings.kafka.model_copy(update={**login, **trust})


def by_certificate(settings: Settings, who: Principal) -> KafkaSettings:
    """Kafka's inner listener, which asks for a certificate in place of a password: so there is none before the first
    start, when Kafka knows nobody.
    """
    own = authority.identity(settings, who)
    return settings.kafka.model_copy(
        update={
            "bootstrap_servers": ",".join(f"{one.host}:{settings.ports.kafka_internal}" for one in brokers(settings)),
            "security_protocol": "SSL",
            "ssl_ca_location": str(authority.trusted(settings)),
            "ssl_certificate_location": str(own.certificate),
            "ssl_key_location": str(own.key),
        }
    )


def cassandra_settings(settings: Settings, who: str, password: SecretStr) -> CassandraSettings:
    """Cassandra wants a certificate of the home's authority and a password: the former alone proves no name, and the
    latter keeps nobody out in the seconds of the first start, when there is Cassandra's own first user.
    """
    own = authority.identity(settings, who)
    return settings.cassandra.model_copy(
        update={
            "username": who,
            "password": password,
            "ssl": True,
            "ssl_ca_location": str(authority.trusted(settings)),
            "ssl_certificate_location": str(own.certificate),
            "ssl_key_location": str(own.key),
        }
    )
