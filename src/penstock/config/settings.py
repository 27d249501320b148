"""All settings together, and what the defaults are that depend on other settings."""

from collections.abc import Mapping
from typing import Any, Self

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, model_validator

from penstock.config.names import as_text, leaves, variable_of
from penstock.config.sections import (
    CLUSTER,
    LAST_PORT,
    LOOPBACK,
    AirflowSettings,
    CassandraSettings,
    DownloadSettings,
    Folder,
    Heaps,
    Hosts,
    KafkaSettings,
    Ports,
    SecretSettings,
    Section,
    SourceSettings,
    SparkSettings,
    StackSettings,
)
from penstock.errors import ConfigError

_OF_A_CLUSTER: Mapping[str, Mapping[str, Any]] = {
    "kafka": {"replication_factor": 3},
    "cassandra": {"replication_factor": 3},
    "heaps": {"cassandra": "512m", "spark_executor": "512m"},
    "spark": {"executors": 2, "executor_cores": 1},
}
"""What the cluster profile makes of settings that nobody gave."""


class Settings(Section):
    """Every setting, with its default. Made by `read_settings`; tests construct it."""

    home: Folder = user_data_path("penstock")
    """The one folder with the stack's data, logs and state."""
    cache: Folder = user_cache_path("penstock")
    """Downloaded jars; shared by every `home`."""
    java_home: str = ""
    """A Java 17 of your own; empty means the packaged one."""
    pipeline: str = "penstock.users:USERS"
    """module:NAME of the declaration."""
    port_offset: int = Field(default=0, ge=0, le=50_000)
    """Added to every port of the local stack."""
    ports: Ports = Ports()
    hosts: Hosts = Hosts()
    stack: StackSettings = StackSettings()
    secrets: SecretSettings = SecretSettings()
    heaps: Heaps = Heaps()
    source: SourceSettings = SourceSettings()
    kafka: KafkaSettings = KafkaSettings()
    cassandra: CassandraSettings = CassandraSettings()
    spark: SparkSettings = SparkSettings()
    airflow: AirflowSettings = AirflowSettings()
    downloads: DownloadSettings = DownloadSettings()

    def resolved(self) -> Self:
        """The same settings with every default that depends on another one filled in, and the offset applied.

        Resolving twice changes nothing.
        """
        ports = self._moved_ports()
        home, cache = self.home.expanduser().absolute(), self.cache.expanduser().absolute()
        hosts, cluster = self.hosts, self.stack.profile == "cluster"
        # The broker gives this machine and the other servers different addresses of itself.
        kafka_port = ports.kafka if hosts.kafka == LOOPBACK else ports.kafka_internal
        brokers, nodes = (CLUSTER, CLUSTER) if cluster else ((hosts.kafka,), (hosts.cassandra,))
        fill: dict[str, dict[str, Any]] = {
            "source": {"url": f"http://{hosts.simulator}:{ports.simulator}/api/"},
            "kafka": {"bootstrap_servers": ",".join(f"{host}:{kafka_port}" for host in brokers)},
            "cassandra": {"contact_points": ",".join(nodes), "port": ports.cassandra},
            "spark": {
                "master": f"spark://{hosts.spark_master}:{ports.spark_master}",
                "checkpoint": str(home / "data" / "checkpoint"),
            },
            "airflow": {"url": f"http://{hosts.airflow}:{ports.airflow}"},
        }
        sized = {name: _unless_given(getattr(self, name), sizes) for name, sizes in _OF_A_CLUSTER.items() if cluster}
        filled = {name: _filled(sized.get(name, getattr(self, name)), defaults) for name, defaults in fill.items()}
        sections = {**sized, **filled}
        return self.model_copy(update={"home": home, "cache": cache, "ports": ports, "port_offset": 0, **sections})

    @model_validator(mode="after")
    def _a_cluster_stands_on_this_machine(self) -> Self:
        elsewhere = {name: host for name, host in self.hosts.model_dump().items() if host != LOOPBACK}
        if self.stack.profile == "cluster" and elsewhere:
            raise ValueError(f"the cluster profile runs on this machine only, but hosts are given: {elsewhere}")
        return self

    def own_hosts(self) -> frozenset[str]:
        """The hosts of the stack's own servers: no proxy stands before them."""
        return frozenset({*self.hosts.model_dump().values(), *CLUSTER})

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, secrets included: `read_settings` of a child gets the same ones."""
        return {variable_of(path): as_text(value) for path, value in leaves(self)}

    def _moved_ports(self) -> Ports:
        moved = {name: port + self.port_offset for name, port in self.ports.model_dump().items()}
        name, highest = max(moved.items(), key=lambda item: item[1])
        if highest > LAST_PORT:
            most = self.port_offset - (highest - LAST_PORT)
            raise ConfigError(
                f"setting port_offset is {self.port_offset}, which moves ports.{name} to {highest}; "
                f"allowed here: 0 to {most}, as ports end at {LAST_PORT}"
            )
        return Ports.model_validate(moved)


def _filled(section: Section, defaults: Mapping[str, Any]) -> Section:
    empty = {name: value for name, value in defaults.items() if not getattr(section, name)}
    return section.model_copy(update=empty)


def _unless_given(section: Section, sizes: Mapping[str, Any]) -> Section:
    return section.model_copy(
        update={name: size for name, size in sizes.items() if name not in section.model_fields_set}
    )
