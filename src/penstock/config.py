"""Settings: frozen, read once at the door, passed down.

`read_settings` is the one reader of the environment and of `penstock.toml`. A setting `section.name` is the environment
variable `PENSTOCK_SECTION_NAME` and the key `name` in the file's table `[section]`; the environment wins.
"""

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from platformdirs import user_cache_path, user_data_path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from penstock.errors import ConfigError

PREFIX = "PENSTOCK_"
FILE_VARIABLE = "PENSTOCK_CONFIG"
FILE_NAME = "penstock.toml"

_LAST_PORT = 65_535
PortNumber = Annotated[int, Field(ge=1, le=_LAST_PORT)]
Heap = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[mg]$")]
"""A JVM heap as `-Xmx` takes it, e.g. 512m or 2g."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ConsistencyLevel = Literal["ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM"]


def _named(value: object) -> object:
    # Path("") is the working folder: an empty variable would make that the home, which `down --delete-data` empties.
    if value == "":
        raise ValueError("it names no folder")
    return value


Folder = Annotated[Path, BeforeValidator(_named)]


class Section(BaseModel):
    """Base of the sections: frozen, no unknown keys, no values in the text of an error (they may be secret)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class Ports(Section):
    """Ports of the local stack; `port_offset` moves them all."""

    airflow: PortNumber = 8080
    """Airflow's page and API."""
    kafka: PortNumber = 9092
    """The broker's listener for clients outside, e.g. on this machine."""
    kafka_internal: PortNumber = 29092
    """The broker's listener for the other servers."""
    kafka_controller: PortNumber = 29093
    """KRaft, between controllers."""
    cassandra: PortNumber = 9042
    """CQL."""
    cassandra_storage: PortNumber = 7000
    """Between Cassandra nodes."""
    postgres: PortNumber = 5432
    """Airflow's metadata."""
    spark_master: PortNumber = 7077
    """Where applications are submitted."""
    spark_master_ui: PortNumber = 9090
    """Page of the master."""
    spark_worker: PortNumber = 7078
    """Between master and worker."""
    spark_worker_ui: PortNumber = 8081
    """Page of the worker."""
    spark_driver_ui: PortNumber = 4040
    """Page and metrics of the stream."""
    simulator: PortNumber = 8090
    """The users API, simulated."""

    @model_validator(mode="after")
    def _no_port_twice(self) -> Self:
        names: dict[int, str] = {}
        for name, port in self.model_dump().items():
            if port in names:
                raise ValueError(f"ports.{names[port]} and ports.{name} are both {port}")
            names[port] = name
        return self


class Heaps(Section):
    """Heap caps of the local servers."""

    kafka: Heap = "256m"
    """The broker."""
    cassandra: Heap = "768m"
    """The node; half as much again lives outside the heap."""
    spark_master: Heap = "128m"
    """The master."""
    spark_worker: Heap = "128m"
    """The worker itself, not its executors."""
    spark_driver: Heap = "512m"
    """The stream's driver."""
    spark_executor: Heap = "768m"
    """Each executor of the stream."""


class SourceSettings(Section):
    """How the API is called. `url` overrides the declaration's; empty means the local simulator."""

    url: str = ""
    """Address of the API; empty means the local simulator."""
    connect_timeout_s: Seconds = 5
    """Longest wait for a connection."""
    read_timeout_s: Seconds = 30
    """Longest silence within one answer."""
    answer_timeout_s: Seconds = 120
    """Longest time for one whole answer, so that an API that drips bytes does not hold a run."""
    attempts: int = Field(default=8, ge=1)
    """Requests for one page, the first included, before the run fails."""
    max_wait_s: Seconds = 60
    """Longest pause between two attempts; a longer `Retry-After` ends the attempts."""
    max_response_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """Largest answer, decompressed; a larger one ends the run."""


class KafkaSettings(Section):
    """Which Kafka, and how topics are created. Empty `bootstrap_servers` means the local broker."""

    bootstrap_servers: str = ""
    """host:port of one or more brokers, separated by commas; empty means the local broker."""
    partitions: int = Field(default=4, ge=1)
    """Of a topic that is created."""
    replication_factor: int = Field(default=1, ge=1)
    """Of a topic that is created."""
    retention_hours: int = Field(default=168, ge=1)
    """Of a topic that is created: how long a message can still be read again."""
    delivery_timeout_s: Seconds = 120
    """How long a message may wait for its receipt, and a command for a broker."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As Kafka's clients call it."""
    sasl_mechanism: str = ""
    """PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; empty without SASL."""
    sasl_username: str = ""
    """With SASL."""
    sasl_password: SecretStr = SecretStr("")
    """With SASL."""
    ssl_ca_location: str = ""
    """File with the authority that signed the brokers' certificates (PEM)."""


class CassandraSettings(Section):
    """Which Cassandra. Empty `contact_points` means the local node."""

    contact_points: str = ""
    """Addresses, separated by commas."""
    port: int = Field(default=0, ge=0, le=65535)
    """0 means the local node's port."""
    username: str = ""
    """Empty without authentication."""
    password: SecretStr = SecretStr("")
    """With a username."""
    datacenter: str = "datacenter1"
    """The one to read from and write to; also the name of the local one."""
    replication_factor: int = Field(default=1, ge=1)
    """Of a keyspace that is created."""
    consistency_level: ConsistencyLevel = "LOCAL_QUORUM"
    """Of every read and write."""
    request_timeout_s: Seconds = 20
    """Of one request."""


class SparkSettings(Section):
    """Which Spark. Empty `master` means the local standalone master."""

    master: str = ""
    """E.g. spark://host:7077 or local[2]; empty means the local standalone master."""
    executor_cores: int = Field(default=2, ge=1)
    """Tasks that one executor runs at a time."""
    max_records_per_batch: int = Field(default=200_000, ge=1)
    """Most records of one micro-batch."""
    trigger_interval_ms: int = Field(default=0, ge=0)
    """0 starts the next micro-batch as soon as the last one is committed."""
    checkpoint: str = ""
    """Folder or URL of the checkpoint; empty means inside `home`."""
    starting_offsets: Literal["earliest", "latest"] = "earliest"
    """Where a stream without a checkpoint begins."""


class AirflowSettings(Section):
    """Which Airflow. Empty `url` means the local one, whose log-in is generated."""

    url: str = ""
    """Address of the api-server; empty means the local one."""
    username: str = ""
    """Empty means the local one."""
    password: SecretStr = SecretStr("")
    """With a username."""
    parallelism: int = Field(default=2, ge=1)
    """Tasks that the local scheduler runs at a time."""


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
    heaps: Heaps = Heaps()
    source: SourceSettings = SourceSettings()
    kafka: KafkaSettings = KafkaSettings()
    cassandra: CassandraSettings = CassandraSettings()
    spark: SparkSettings = SparkSettings()
    airflow: AirflowSettings = AirflowSettings()

    def resolved(self) -> Self:
        """The same settings with every default that depends on another one filled in, and the offset applied.

        Resolving twice changes nothing.
        """
        ports = self._moved_ports()
        home, cache = self.home.expanduser().absolute(), self.cache.expanduser().absolute()
        local = "127.0.0.1"
        fill: dict[str, dict[str, Any]] = {
            "source": {"url": f"http://{local}:{ports.simulator}/api/"},
            "kafka": {"bootstrap_servers": f"{local}:{ports.kafka}"},
            "cassandra": {"contact_points": local, "port": ports.cassandra},
            "spark": {
                "master": f"spark://{local}:{ports.spark_master}",
                "checkpoint": str(home / "data" / "checkpoint"),
            },
            "airflow": {"url": f"http://{local}:{ports.airflow}"},
        }
        sections = {name: _filled(getattr(self, name), defaults) for name, defaults in fill.items()}
        return self.model_copy(update={"home": home, "cache": cache, "ports": ports, "port_offset": 0, **sections})

    def environment(self) -> dict[str, str]:
        """These settings as environment variables, secrets included: `read_settings` of a child gets the same ones."""
        return {_variable(path): _as_text(value) for path, value in _leaves(self)}

    def _moved_ports(self) -> Ports:
        moved = {name: port + self.port_offset for name, port in self.ports.model_dump().items()}
        name, highest = max(moved.items(), key=lambda item: item[1])
        if highest > _LAST_PORT:
            most = self.port_offset - (highest - _LAST_PORT)
            raise ConfigError(
                f"setting port_offset is {self.port_offset}, which moves ports.{name} to {highest}; "
                f"allowed here: 0 to {most}, as ports end at {_LAST_PORT}"
            )
        return Ports.model_validate(moved)


def read_settings(
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from `overrides` (top-level names), else the environment, else the file, else the defaults; resolved.

    The file is the one `PENSTOCK_CONFIG` names, else `penstock.toml` in the working folder if there is one.

    Raises:
        ConfigError: an unknown key or a value that is not allowed; says which, where it came from and what is allowed.
    """
    environ = os.environ if environ is None else environ
    file, from_file = _read_file(environ)
    from_environment = _read_environment(environ)
    origins = [("the command line", overrides or {}), ("environment", from_environment), (f"file {file}", from_file)]
    merged = _merge(_merge(from_file, from_environment), overrides or {})
    try:
        return Settings.model_validate(merged).resolved()
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(problem, origins) for problem in error.errors())) from error


def markdown_table() -> str:
    """Every setting as a row: environment variable, key in the file, default, meaning. For the documentation."""
    rows = [f"| `{_variable(path)}` | {_shown(value)} | {_meaning(path)} |" for path, value in _leaves(Settings())]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def child_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that we start: ours without its settings, then `additions`.

    A child that reads settings is given them whole, by `Settings.environment`: what is left of ours could only
    contradict them, and a relative `PENSTOCK_CONFIG` means another file in the child's folder.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, **additions}


def _filled(section: Section, defaults: Mapping[str, Any]) -> Section:
    empty = {name: value for name, value in defaults.items() if not getattr(section, name)}
    return section.model_copy(update=empty)


def _leaves(section: Section, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _meaning(path: tuple[str, ...]) -> str:
    model: type[Section] = Settings
    for part in path[:-1]:
        model = type(getattr(model(), part))
    return model.model_fields[path[-1]].description or ""


def _shown(value: Any) -> str:
    if isinstance(value, Path):
        return "the system's folder for it"
    text = _as_text(value)
    return f"`{text}`" if text else ""


def _variable(path: tuple[str, ...]) -> str:
    return PREFIX + "_".join(path).upper()


def _as_text(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _read_file(environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = environ.get(FILE_VARIABLE)
    file = Path(named or FILE_NAME).expanduser().absolute()
    if not file.exists():
        if named:
            raise ConfigError(f"{FILE_VARIABLE} names {file}, which does not exist")
        return None, {}
    try:
        return file, tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file} cannot be read as TOML: {error}") from error


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {_variable(path): path for path, _ in _leaves(Settings())}
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        if variable not in known:
            raise ConfigError(f"environment variable {variable} is not a setting{_nearest(variable, list(known))}")
        *sections, name = known[variable]
        target = found
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return found


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _explain(problem: Any, origins: list[tuple[str, Mapping[str, Any]]]) -> str:
    path = tuple(str(part) for part in problem["loc"])
    name = ".".join(path)
    origin = next((origin for origin, values in origins if _stands_in(values, path)), "of the defaults")
    is_section = isinstance(problem["input"], (Mapping, Section))
    if origin == "environment":
        variable = _variable(path)
        origin = f"environment variables {variable}_…" if is_section else f"environment variable {variable}"
    if problem["type"] == "extra_forbidden":
        names = [".".join(known) for known, _ in _leaves(Settings())]
        return f"setting {name} ({origin}) does not exist{_nearest(name, names)}"
    message = problem["msg"].removeprefix("Value error, ")
    if is_section:
        return f"setting {name} ({origin}) is not allowed: {message}"
    given = "a secret" if path in _secrets() else json.dumps(problem["input"], default=str)
    return f"setting {name} ({origin}) is {given}, which is not allowed: {message}"


def _stands_in(values: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _secrets() -> frozenset[tuple[str, ...]]:
    return frozenset(path for path, value in _leaves(Settings()) if isinstance(value, SecretStr))


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ". All settings are in docs/operations.md"
