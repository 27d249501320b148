"""All settings together, and what the defaults are that depend on other settings."""

import json
from collections.abc import Mapping
from typing import Any, Self

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, PrivateAttr, SecretStr, model_validator

from penstock.config.console import ConsoleSettings
from penstock.config.names import as_text, leaves, variable_of
from penstock.config.sections import (
    CLUSTER,
    LOOPBACK,
    AirflowSettings,
    CassandraSettings,
    DownloadSettings,
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
from penstock.config.values import LAST_OFFSET, LAST_PORT, File, Folder, References, real_folder
from penstock.errors import ConfigError

_OF_A_CLUSTER: Mapping[str, Mapping[str, Any]] = {
    "kafka": {"replication_factor": 3},
    "cassandra": {"replication_factor": 3},
    "heaps": {"cassandra": "512m", "spark_executor": "512m"},
    "spark": {"executors": 2},
}
"""The cluster profile's defaults of settings that were not given."""


class Settings(Section):
    """Every setting, with its default. Made by `read_settings`; tests construct it."""

    home: Folder = user_data_path("penstock")
    """The one folder with the stack's data, logs and state."""
    cache: Folder = user_cache_path("penstock")
    """Downloaded jars, and archives of their classes; shared by every `home`."""
    credentials: File = ""
    """Folder with the certificates and passwords that a container is given; empty means those of `home`."""
    java_home: File = ""
    """A Java 17 of your own; empty means the packaged one."""
    project: File = ""
    """Folder of your pipelines, with `pipelines/*.py`; by default that of `penstock.toml`, else the working folder."""
    pipelines: References = ()
    """module:NAME of each pipeline in place of those in `project`, with commas between; in the file a list."""
    port_offset: int = Field(default=0, ge=0, le=LAST_OFFSET)
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
    console: ConsoleSettings = ConsoleSettings()
    downloads: DownloadSettings = DownloadSettings()
    _moved_by: int = PrivateAttr(default=0)

    @property
    def moved_by(self) -> int:
        """The offset that `ports` have been moved by already; `port_offset` is what is still to come."""
        return self._moved_by

    @property
    def has_own_master(self) -> bool:
        """Whether Spark's master is that of the local stack, where a task slot is a number and no core."""
        return self.spark.master in ("", _own_master(self.hosts, self.ports))

    def resolved(self) -> Self:
        """The same settings with every default that depends on another one filled in, and the offset applied.

        Resolving twice changes nothing.
        """
        ports = self._moved_ports()
        home, cache = real_folder(self.home), real_folder(self.cache)
        hosts, cluster = self.hosts, self.stack.profile == "cluster"
        # The broker gives this machine and the other servers different addresses of itself; a secure one lets clients
        # in by the outer listener only.
        is_outer = self.stack.secure or hosts.kafka == LOOPBACK
        kafka_port = ports.kafka if is_outer else ports.kafka_internal
        brokers, nodes = (CLUSTER, CLUSTER) if cluster else ((hosts.kafka,), (hosts.cassandra,))
        fill: dict[str, dict[str, Any]] = {
            "source": {"simulator": f"http://{hosts.simulator}:{ports.simulator}/api/"},
            "kafka": {"bootstrap_servers": ",".join(f"{host}:{kafka_port}" for host in brokers)},
            "cassandra": {"contact_points": ",".join(nodes), "port": ports.cassandra},
            "spark": {
                "master": _own_master(hosts, ports),
                "checkpoint": str(home / "data" / "checkpoint"),
            },
            "airflow": {"url": f"http://{hosts.airflow}:{ports.airflow}"},
        }
        sized = {name: _unless_given(getattr(self, name), sizes) for name, sizes in _OF_A_CLUSTER.items() if cluster}
        filled = {name: _filled(sized.get(name, getattr(self, name)), defaults) for name, defaults in fill.items()}
        sections = {**sized, **filled}
        resolved = self.model_copy(update={"home": home, "cache": cache, "ports": ports, "port_offset": 0, **sections})
        resolved._moved_by = self._moved_by + self.port_offset
        return resolved

    @model_validator(mode="after")
    def _a_cluster_stands_on_this_machine(self) -> Self:
        elsewhere = {name: host for name, host in self.hosts.model_dump().items() if host != LOOPBACK}
        if self.stack.profile == "cluster" and elsewhere:
            raise ValueError(f"the cluster profile runs on this machine only, but hosts are given: {elsewhere}")
        return self

    @model_validator(mode="after")
    def _a_secure_stack_is_called_by_its_name(self) -> Self:
        """Certificates name loopback and the hosts. Who listens to others without such a name could be called by nobody
        who looks, and what is not encrypted would be heard on a network that nobody closed.
        """
        listen, hosts = self.stack.listen, (self.hosts.kafka, self.hosts.cassandra)
        if self.stack.secure and listen != LOOPBACK and LOOPBACK in hosts:
            raise ValueError(
                f"a secure stack needs stack.listen = {LOOPBACK}, or, in containers, hosts by which its servers are "
                f"called; it is {listen}: nothing is started"
            )
        return self

    @model_validator(mode="after")
    def _text_that_every_system_takes(self) -> Self:
        for path, value in leaves(self):
            text = as_text(value)
            if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
                raise ValueError(f"{'.'.join(path)} holds a zero character, or bytes that are not UTF-8")
        return self

    def of_local_stack(self) -> "Settings":
        """Those of the local stack with the same ports, whatever servers these settings name."""
        return Settings(ports=self.ports, hosts=self.hosts, stack=self.stack).resolved()

    def own_hosts(self) -> frozenset[str]:
        """The hosts of the stack's own servers: no proxy stands before them."""
        return frozenset({*self.hosts.model_dump().values(), *CLUSTER})

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, secrets included: `read_settings` of a child gets the same ones."""
        first = {name: port - self._moved_by for name, port in self.ports.model_dump().items()}
        offset = self.port_offset + self._moved_by
        told = self.model_copy(update={"ports": Ports.model_construct(**first), "port_offset": offset})
        return {variable_of(path): as_text(value) for path, value in leaves(told)}

    def as_json(self) -> str:
        """These settings as a file that `PENSTOCK_CONFIG` may name, secrets included."""
        tables: dict[str, Any] = {}
        for (*sections, name), value in leaves(self):
            table = tables
            for section in sections:
                table = table.setdefault(section, {})
            table[name] = as_text(value)
        return json.dumps(tables)

    def with_credentials_of(self, *sections: str) -> Self:
        """The same settings, but the credentials of every other section are as if nobody had set them."""
        changed: dict[str, Section] = {}
        for (section, *rest), value in leaves(self):
            if rest and section not in sections and _may_hold_credentials((section, *rest), value):
                now = changed.get(section, getattr(self, section))
                default = type(now).model_fields[rest[0]].default
                changed[section] = now.model_copy(update={rest[0]: default})
        return self.model_copy(update=changed)

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


_WITH_CREDENTIALS = frozenset({("source", "urls"), ("source", "secrets"), ("airflow", "url"), ("spark", "conf")})


def _may_hold_credentials(path: tuple[str, ...], value: Any) -> bool:
    # A key or a password may stand in an address, and passwords of other stores in Spark's options.
    return isinstance(value, SecretStr) or path in _WITH_CREDENTIALS


def _filled(section: Section, defaults: Mapping[str, Any]) -> Section:
    empty = {name: value for name, value in defaults.items() if not getattr(section, name)}
    return section.model_copy(update=empty)


def _unless_given(section: Section, sizes: Mapping[str, Any]) -> Section:
    return section.model_copy(
        update={name: size for name, size in sizes.items() if name not in section.model_fields_set}
    )


def _own_master(hosts: Hosts, ports: Ports) -> str:
    return f"spark://{hosts.spark_master}:{ports.spark_master}"
