"""The sections of the settings: which there are, what they default to, what is allowed."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from penstock.config.credentials import DatabasePassword, FernetKey, LoginName, Secret, SigningKey, UserName
from penstock.config.values import (
    NAMES,
    ConsistencyLevel,
    File,
    Heap,
    NamedSecrets,
    Place,
    PortNumber,
    Seconds,
    SparkConf,
    Urls,
)

LOOPBACK = "127.0.0.1"
CLUSTER = (LOOPBACK, "127.0.0.2", "127.0.0.3")
"""Addresses of the nodes of the cluster profile: one machine's, and the same ports on each."""


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
    zookeeper: PortNumber = 2181
    """ZooKeeper, where Kafka is run with it."""
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
    console: PortNumber = 8088
    """The console's page and metrics."""

    @model_validator(mode="after")
    def _no_port_twice(self) -> Self:
        names: dict[int, str] = {}
        for name, port in self.model_dump().items():
            if port in names:
                raise ValueError(f"ports.{names[port]} and ports.{name} are both {port}")
            names[port] = name
        return self


class Hosts(Section):
    """Where the servers of the local stack find each other; on one machine that is this machine."""

    airflow: str = LOOPBACK
    """The api-server."""
    kafka: str = LOOPBACK
    """The broker, as the other servers call it."""
    zookeeper: str = LOOPBACK
    """ZooKeeper, where Kafka is run with it."""
    cassandra: str = LOOPBACK
    """The node."""
    postgres: str = LOOPBACK
    """Airflow's metadata."""
    spark_master: str = LOOPBACK
    """The master."""
    spark_worker: str = LOOPBACK
    """The worker and its executors."""
    stream: str = LOOPBACK
    """The stream's driver, as executors call it."""
    simulator: str = LOOPBACK
    """The users API, simulated."""


class StackSettings(Section):
    """Which servers the local stack has, and whom they answer."""

    kafka: Literal["kraft", "zookeeper"] = "kraft"
    """Where Kafka keeps its metadata: kraft is Kafka 4 by itself, zookeeper is Kafka 3.9 with a ZooKeeper."""
    profile: Literal["single", "cluster"] = "single"
    """cluster is three brokers, three Cassandra nodes and two Spark workers, on 127.0.0.1 to 127.0.0.3."""
    secure: bool = False
    """TLS, credentials of its own for each client and least rights, in Kafka, Cassandra and Spark."""
    listen: str = LOOPBACK
    """Address that the servers listen on; 0.0.0.0 inside a container, whose engine decides who comes in."""
    pass_environment: Annotated[str, StringConstraints(pattern=NAMES)] = ""
    """Names of variables of your environment, separated by commas, that the stream and Airflow's parts get too."""
    silence_s: float = Field(default=300, ge=0, allow_inf_nan=False)
    """How long a server that was ready may give no good answer before it is restarted; 0 means for ever."""

    @model_validator(mode="after")
    def _a_cluster_that_can_be(self) -> Self:
        if self.profile == "cluster" and self.kafka != "kraft":
            raise ValueError("the cluster profile runs Kafka by itself: stack.kafka must be kraft")
        if self.profile == "cluster" and self.listen != LOOPBACK:
            raise ValueError(f"the cluster profile tells nodes apart by address: stack.listen must be {LOOPBACK}")
        return self

    @model_validator(mode="after")
    def _secured_where_it_can_be(self) -> Self:
        """A stack that was asked to be secure and cannot be is refused: it must not run open."""
        if self.secure and self.kafka != "kraft":
            raise ValueError(f"a secure stack needs stack.kafka = kraft, and it is {self.kafka}: nothing is started")
        return self


class Heaps(Section):
    """Heap caps of the local servers."""

    kafka: Heap = "256m"
    """The broker."""
    zookeeper: Heap = "128m"
    """ZooKeeper, where Kafka is run with it."""
    cassandra: Heap = "768m"
    """A node; half as much again lives outside the heap. 512m with the cluster profile."""
    spark_master: Heap = "128m"
    """The master."""
    spark_worker: Heap = "128m"
    """The worker itself, not its executors."""
    spark_driver: Heap = "512m"
    """The stream's driver."""
    spark_executor: Heap = "768m"
    """Each executor of the stream. 512m with the cluster profile."""


class SecretSettings(Section):
    """What the servers of the stack prove themselves with; empty means generated, and kept in `home`."""

    postgres_password: DatabasePassword = SecretStr("")
    """Of Airflow's role in Postgres; empty means generated."""
    airflow_username: LoginName = ""
    """Of the credentials for the local Airflow; empty means admin."""
    airflow_password: Secret = SecretStr("")
    """Of the credentials for the local Airflow; empty means generated."""
    airflow_jwt_secret: SigningKey = SecretStr("")
    """Signs Airflow's tokens; empty means generated."""
    airflow_fernet_key: FernetKey = SecretStr("")
    """Encrypts what Airflow stores: 32 bytes in URL-safe base64; empty means generated."""
    airflow_secret_key: SigningKey = SecretStr("")
    """Signs the sessions of Airflow's page; empty means generated."""


class SourceSettings(Section):
    """How APIs are called."""

    urls: Urls = Field(default={}, repr=False)
    """Addresses of APIs by the pipeline's name, instead of the declared; of one: PENSTOCK_SOURCE_URL_USERS."""
    secrets: NamedSecrets = Field(default={}, repr=False)
    """Secrets of sources by the name that the declaration gives them; those that are not here: from the environment."""
    simulator: str = ""
    """What the pipeline users asks unless source.urls says otherwise; empty means the local simulator."""
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
    max_pages: int = Field(default=100_000, ge=1)
    """Most pages of one run. An API that ignores the parameters of its paging would be read for ever; the run fails."""


class KafkaSettings(Section):
    """Which Kafka, and how topics are created. Empty `bootstrap_servers` means the local broker."""

    bootstrap_servers: str = ""
    """host:port of one or more brokers, separated by commas; empty means the local broker."""
    partitions: int = Field(default=4, ge=1)
    """Of a topic that is created."""
    replication_factor: int = Field(default=1, ge=1)
    """Of a topic that is created; from 2 on one copy less must be in sync. 3 with the cluster profile."""
    retention_hours: int = Field(default=168, ge=1)
    """Of a topic that is created: how long a message can still be read again."""
    delivery_timeout_s: Seconds = 120
    """How long a message may wait for its receipt, and a command for a broker."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As Kafka's clients call it."""
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = ""
    """PLAIN, SCRAM-SHA-256, SCRAM-SHA-512; empty without SASL."""
    sasl_username: UserName = ""
    """With SASL."""
    sasl_password: Secret = SecretStr("")
    """With SASL."""
    ssl_ca_location: File = ""
    """File with the authority that signed the brokers' certificates (PEM)."""
    ssl_certificate_location: File = ""
    """File with the client's certificate and its chain (PEM); empty where the brokers ask for none."""
    ssl_key_location: File = ""
    """File with the client's private key (PEM); empty where it stands in the certificate's file."""
    ssl_key_password: Secret = SecretStr("")
    """Of the private key, where it has one."""
    ssl_endpoint_identification_algorithm: Literal["https", "none"] = "https"
    """Whether a broker's certificate must name its host (https) or not (none)."""


class CassandraSettings(Section):
    """Which Cassandra. Empty `contact_points` means the local node."""

    contact_points: str = ""
    """Addresses, separated by commas."""
    port: int = Field(default=0, ge=0, le=65535)
    """0 means the local node's port."""
    username: UserName = ""
    """Empty without authentication."""
    password: Secret = SecretStr("")
    """With a username."""
    datacenter: str = "datacenter1"
    """The one to read from and write to; also the name of the local one."""
    replication_factor: int = Field(default=1, ge=1)
    """Of a keyspace that is created. 3 with the cluster profile."""
    consistency_level: ConsistencyLevel = "LOCAL_QUORUM"
    """Of every read and write."""
    request_timeout_s: Seconds = 20
    """Of one request."""
    commit_log_lag_ms: int = Field(default=20, ge=0, le=1_000)
    """Time within which an acknowledged write is on the disk, which commits wait for; 0: before it is acknowledged."""
    ssl: bool = False
    """Whether the nodes are spoken to over TLS."""
    ssl_ca_location: File = ""
    """File with the authority that signed the nodes' certificates (PEM); empty means those that the system trusts."""
    ssl_certificate_location: File = ""
    """File with the client's certificate and its chain (PEM); empty where the nodes ask for none."""
    ssl_key_location: File = ""
    """File with the client's private key (PEM); empty where it stands in the certificate's file."""
    ssl_key_password: Secret = SecretStr("")
    """Of the private key, where it has one."""
    ssl_hostname_verification: bool = True
    """Whether a node's certificate must name its address."""

    @model_validator(mode="after")
    def _no_certificates_in_vain(self) -> Self:
        if not self.ssl and (self.ssl_ca_location or self.ssl_certificate_location):
            raise ValueError("certificates are given, but ssl is false, so they would not be used; set ssl = true")
        return self


class SparkSettings(Section):
    """Which Spark. Empty `master` means the local standalone master."""

    master: str = ""
    """E.g. spark://host:7077 or local[2]; empty means the local standalone master."""
    executors: int = Field(default=1, ge=1)
    """Executors of the stream. 2 with the cluster profile."""
    executor_cores: int = Field(default=0, ge=0)
    """Tasks that one executor runs at a time, however many cores it has; 0 means one a partition of every pipeline."""
    mode: Literal["real-time", "micro-batch"] = "real-time"
    """real-time writes each record as it comes; with too few tasks for the partitions it goes on in micro-batches."""
    epoch_s: float = Field(default=5, ge=1, allow_inf_nan=False)
    """Of real-time mode: how long until the checkpoint is written and the counts know the records."""
    conf: SparkConf = Field(default={}, repr=False)
    """More options of Spark by their own names, which win over ours: a table in the file, JSON in the environment."""
    max_records_per_batch: int = Field(default=500_000, ge=1)
    """Most records of one micro-batch; real-time mode has no such limit."""
    trigger_interval_ms: int = Field(default=0, ge=0)
    """Of micro-batches: 0 starts the next one as soon as the last one is committed."""
    checkpoint: Place = ""
    """Folder or URL of the checkpoint; empty means inside `home`."""
    starting_offsets: Literal["earliest", "latest"] = "earliest"
    """Where a stream without a checkpoint begins."""


class AirflowSettings(Section):
    """Which Airflow. Empty `url` means the local one, whose credentials are generated."""

    url: str = Field(default="", repr=False)
    """Address of the api-server; empty means the local one."""
    username: UserName = ""
    """Empty means the local one."""
    password: Secret = SecretStr("")
    """With a username."""
    ssl_ca_location: File = ""
    """File with the authority that signed the api-server's certificate (PEM); empty means those the system trusts."""
    parallelism: int = Field(default=2, ge=1)
    """Tasks that the local scheduler runs at a time."""
    triggerer: bool = False
    """Whether the local Airflow has a triggerer too, which runs what DAGs defer; those of pipelines defer nothing."""


class DownloadSettings(Section):
    """Where packages and jars come from; the addresses are secret, for they may hold a password."""

    python_index: Secret = SecretStr("")
    """Address of the Python package index; empty means the one that uv or pip is configured to use."""
    maven_repository: Secret = SecretStr("")
    """Address of the Maven repository that jars come from; empty means Maven Central."""
