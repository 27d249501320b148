"""What Kafka's clients are told, and what their errors say; no broker is needed."""

from confluent_kafka import Consumer, KafkaError
from pydantic import SecretStr

from penstock.config import KafkaSettings
from penstock.kafka import Broker
from penstock.kafka.client import READER, Client
from penstock.stream.connectors.kafka import source_options

SECURE = KafkaSettings(
    bootstrap_servers="kafka:9093",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="penstock",
    sasl_password=SecretStr("hidden"),
    ssl_ca_location="/etc/ca.pem",
)


def test_plain_client_is_told_nothing_of_sasl() -> None:
    options = Client(KafkaSettings(bootstrap_servers="kafka:9092")).options()
    assert not [name for name in options if name.startswith(("sasl", "ssl"))]


def test_secure_client_is_told_who_it_is() -> None:
    options = Client(SECURE).options()
    told = {name: value for name, value in options.items() if name.startswith(("sasl", "ssl", "security"))}
    assert told == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "penstock",
        "sasl.password": "hidden",
        "ssl.ca.location": "/etc/ca.pem",
    }


def test_every_reader_is_told_what_java_and_librdkafka_differ_in() -> None:
    plain = KafkaSettings(bootstrap_servers="kafka:9092")
    assert source_options(plain).items() >= {f"kafka.{name}": value for name, value in READER.items()}.items()
    assert READER["isolation.level"] == "read_committed"
    Consumer({"group.id": "x", **READER}).close()  # refuses names that it does not know


def test_password_is_in_no_repr() -> None:
    assert "hidden" not in repr(Client(SECURE)) + repr(vars(Client(SECURE)))


def test_broker_is_made_without_a_cluster() -> None:
    with Broker(KafkaSettings(bootstrap_servers="127.0.0.1:1")):
        pass


def test_unreachable_broker_is_explained_by_its_last_connection() -> None:
    client = Client(KafkaSettings(bootstrap_servers="broker:29092"))
    client.keep(KafkaError(KafkaError._RESOLVE, "Failed to resolve 'broker:29092'"))
    client.keep(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    said = str(client.error("asking", KafkaError(KafkaError._TIMED_OUT)))
    assert "asking on broker:29092 failed" in said
    assert "Failed to resolve 'broker:29092'" in said
    assert "advertised.listeners" in said


def test_refusal_of_a_broker_that_is_there_speaks_of_nothing_else() -> None:
    client = Client(KafkaSettings(bootstrap_servers="kafka:9092"))
    said = client.explain(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert said == "Broker: Topic authorization failed (TOPIC_AUTHORIZATION_FAILED)"
