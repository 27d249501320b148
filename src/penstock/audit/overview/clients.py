"""The clients of servers that may be away: each says so at once, where its own way would be to wait for them."""

import httpx

from penstock.cassandra import Store
from penstock.config import CassandraSettings, KafkaSettings, Ports, Settings
from penstock.errors import BrokerError, StoreError
from penstock.kafka import Broker
from penstock.network import http
from penstock.network.listening import addresses, nobody_at


def patient_for(settings: Settings, patience_s: float) -> Settings:
    """The same settings, but Kafka and Cassandra are waited for no longer than this."""
    kafka = settings.kafka.model_copy(update={"delivery_timeout_s": patience_s})
    cassandra = settings.cassandra.model_copy(update={"request_timeout_s": patience_s})
    return settings.model_copy(update={"kafka": kafka, "cassandra": cassandra})


def broker(settings: KafkaSettings) -> Broker:
    # librdkafka waits for a broker that is not there yet, and logs that it does.
    if where := nobody_at(addresses(settings.bootstrap_servers, Ports().kafka), settings.delivery_timeout_s):
        raise BrokerError(f"no Kafka takes a connection: {where}")
    return Broker(settings)


def store(settings: CassandraSettings) -> Store:
    if where := nobody_at(addresses(settings.contact_points, settings.port), settings.request_timeout_s):
        raise StoreError(f"no Cassandra takes a connection: {where}")
    return Store(settings)


def gauges(settings: Settings) -> str:
    port = settings.spark.conf.get("spark.ui.port", str(settings.ports.spark_driver_ui))
    return f"http://{settings.hosts.stream}:{port}/metrics/json/"


def web(settings: Settings, patience_s: float) -> httpx.Client:
    return httpx.Client(transport=http.transport(settings.own_hosts()), timeout=patience_s)
