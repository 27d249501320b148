"""A Cassandra node: the one that owns the whole ring, so that it is ready in seconds, or one of three.

The commit log is synced every few milliseconds, and what commits something waits for that (`store.durable`), so neither
kill -9 nor loss of power takes a committed row: docs/decisions/151.
"""

import json
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.launcher.service import Service
from penstock.launcher.state import write
from penstock.network import tls
from penstock.servers import authority, cql
from penstock.servers.access import secrets_of
from penstock.servers.archives import archive
from penstock.servers.data_format import claim
from penstock.servers.jars import classpath
from penstock.servers.java import LATE_SECOND_COMPILER, Java
from penstock.servers.nodes import Node, cassandras
from penstock.servers.principals import Principal

_LEAST_ROOM_BYTES = 64 * 1024 * 1024
"""Two segments of the commit log: a start writes one, and makes the next one ready."""

# What Cassandra reaches into on Java 17: conf/jvm17-server.options of 5.0.9, without the lines for the compiler, RMI
# and attaching, which only user-defined functions and remote JMX use.
_OPENED = (
    "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED",
    "--add-exports=java.base/java.lang.ref=ALL-UNNAMED",
    "--add-exports=java.sql/java.sql=ALL-UNNAMED",
    "--add-exports=jdk.unsupported/sun.misc=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.module=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.loader=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.reflect=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.math=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.module=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.util.jar=ALL-UNNAMED",
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/java.lang.reflect=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
)

_JVM = (
    *LATE_SECOND_COMPILER,
    "-Xms64m",  # else 1/64 of the machine's memory is taken at once: measured 310 MB more when idle
    "-Xss256k",  # upstream's jvm-server.options
    "-XX:MaxDirectMemorySize=256m",  # request and response buffers
)

_PROPERTIES = {
    "cassandra-foreground": "yes",  # without it the standard streams are closed
    "cassandra.superuser_setup_delay_ms": "0",
    "cassandra.shutdown_announce_in_ms": "1",
    "java.net.preferIPv4Stack": "true",
    # Netty may free its direct buffers itself (jvm17-server.options).
    "io.netty.tryReflectionSetAccessible": "true",
}

# A single node has nobody to wait for. Upstream waits 30 s before it joins, 8 s for gossip, 10 s for roles.
_ALONE = {"cassandra.ring_delay_ms": "1", "cassandra.skip_wait_for_gossip_to_settle": "0"}
# One of several takes clients when it knows of the others, else it would refuse a quorum; on one machine that is soon.
_AMONG_OTHERS = {
    "cassandra.ring_delay_ms": "2000",
    "cassandra.gossip_settle_min_wait_ms": "1000",
    "cassandra.gossip_settle_interval_ms": "500",
}

_LOGBACK = """\
<configuration>
  <appender name="stdout" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5level %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <!-- One line a table at each start, or 15 KB of settings, that are in cassandra.yaml. -->
  <logger name="org.apache.cassandra.config.Config" level="WARN"/>
  <logger name="org.apache.cassandra.db.ColumnFamilyStore" level="WARN"/>
  <logger name="org.apache.cassandra.db.memtable.Flushing" level="WARN"/>
  <logger name="org.apache.cassandra.io.sstable.format.SortedTableReaderLoadingBuilder" level="WARN"/>
  <root level="INFO"><appender-ref ref="stdout"/></root>
</configuration>
"""


def cassandra(settings: Settings, java: Java, node: Node | None = None) -> Service:
    """A Cassandra of the local stack: loopback only, JMX off, data in `home`. Anybody on the machine is answered,
    unless the stack is secure.

    kill -9 is survived: the next start replays the commit log.
    """
    nodes = cassandras(settings)
    node = node or nodes[0]
    files = settings.home / "run" / node.name
    properties = {
        **_PROPERTIES,
        **(_ALONE if len(nodes) == 1 else _AMONG_OTHERS),
        **_places(settings.home / "data" / node.name, files),
    }
    shared = archive(settings, java, "cassandra", classpath(settings, "cassandra"))
    given = (*_JVM, *_OPENED, *(f"-D{name}={value}" for name, value in properties.items()))
    return Service(
        name=node.name,
        command=java.command(
            "org.apache.cassandra.service.CassandraDaemon",
            shared.jars,
            settings.heaps.cassandra,
            options=(*given, *shared.options(node.name)),
        ),
        folder=files,
        log=settings.home / "logs" / f"{node.name}.log",
        host=node.here,
        ports={"cql": settings.ports.cassandra, "storage": settings.ports.cassandra_storage},
        prepare=partial(_prepare, settings, node, files),
        probe=partial(_probe, settings, node),
        afterwards=shared.command,
    )


def _places(data: Path, files: Path) -> dict[str, str]:
    return {
        "cassandra.storagedir": str(data),
        "cassandra.config": (files / "cassandra.yaml").as_uri(),
        "cassandra-rackdc.properties": (files / "rackdc.properties").as_uri(),
        "logback.configurationFile": str(files / "logback.xml"),
        # Native code is unpacked here: /tmp may forbid execution, and kill -9 leaves the copies behind.
        "java.io.tmpdir": str(files / "tmp"),
        "jna.tmpdir": str(files / "tmp"),
    }


def _prepare(settings: Settings, node: Node, files: Path) -> None:
    claim(settings)
    _check_room(settings.home / "data" / node.name)
    shutil.rmtree(files / "tmp", ignore_errors=True)
    (files / "tmp").mkdir(parents=True)
    # JSON is YAML.
    if settings.stack.secure:
        authority.certify(settings)
    # Readable for its owner only: it may hold the password of a file with a key.
    write(files / "cassandra.yaml", json.dumps(_configuration(settings, node), indent=2))
    (files / "rackdc.properties").write_text(f"dc={settings.cassandra.datacenter}\nrack=rack1\n", "utf-8")
    (files / "logback.xml").write_text(_LOGBACK, "utf-8")


def _check_room(data: Path) -> None:
    """A start without room fails, and may leave half a file of the commit log, with which no later start succeeds.

    See docs/decisions/113-full-disks.md.
    """
    data.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(data).free < _LEAST_ROOM_BYTES:
        raise ServiceError(f"cassandra needs {_LEAST_ROOM_BYTES >> 20} MiB of free disk in {data}: make room there")


def _configuration(settings: Settings, node: Node) -> Mapping[str, Any]:
    """cassandra.yaml; what is not here has the default of 5.0.9, also the memtables: each a quarter of the heap."""
    return {
        "cluster_name": "penstock",
        **_in_the_ring(settings, node),
        **_durability(settings),
        **_STORAGE,
        **_SIZES,
        **(_secured(settings, settings.home / "run" / node.name) if settings.stack.secure else {}),
    }


def _secured(settings: Settings, files: Path) -> Mapping[str, Any]:
    """A client needs a certificate of the home's authority before it may even try a password."""
    own, own_password = tls.java_key_store(authority.identity(settings, authority.CASSANDRA), files / "tls")
    trusted, password = tls.java_trust_store(str(authority.trusted(settings)), files / "tls")
    both = {
        "optional": False,
        "require_client_auth": True,
        "store_type": "PKCS12",
        "keystore": str(own),
        "keystore_password": own_password,
        "truststore": str(trusted),
        "truststore_password": password,
    }
    return {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "role_manager": "CassandraRoleManager",
        "client_encryption_options": {**both, "enabled": True},
        # No other node is there, and nobody shall be able to say that he is one.
        "server_encryption_options": {**both, "internode_encryption": "all"},
    }


def _probe(settings: Settings, node: Node) -> None:
    port = settings.ports.cassandra
    if not settings.stack.secure:
        cql.ask(node.here, port)
        return
    who = authority.identity(settings, Principal.PROBE)
    context = tls.client_context(str(authority.trusted(settings)), who, verify_hostname=True)
    password = secrets_of(settings, (Principal.PROBE,)).now[Principal.PROBE]
    cql.ask(node.here, port, cql.Credentials(context, Principal.PROBE, password))


def _in_the_ring(settings: Settings, node: Node) -> Mapping[str, Any]:
    nodes, storage = cassandras(settings), settings.ports.cassandra_storage
    # Every node is a seed: each may be the first that starts, and any of them may be away.
    seeds = ",".join(f"{one.host}:{storage}" for one in nodes)
    return {
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "num_tokens": 1,
        "initial_token": str(_FIRST_TOKEN + _TOKENS * node.number // len(nodes) if len(nodes) > 1 else 0),
        "auto_bootstrap": False,
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": seeds}],
            }
        ],
        "endpoint_snitch": "GossipingPropertyFileSnitch",  # takes the data centre's name from rackdc.properties
        "dynamic_snitch": False,
        "hinted_handoff_enabled": len(nodes) > 1,
        "listen_address": node.host,
        "storage_port": storage,
        "rpc_address": node.listen,
        "broadcast_rpc_address": node.host,  # what clients are told; 0.0.0.0 is no address to call
        "native_transport_port": settings.ports.cassandra,
    }


# Murmur3's: https://cassandra.apache.org/doc/5.0/cassandra/architecture/dynamo.html
_FIRST_TOKEN, _TOKENS = -(2**63), 2**64 - 1


def _durability(settings: Settings) -> Mapping[str, Any]:
    """Of several nodes each syncs before it acknowledges: a barrier that a quorum passes says nothing of the others."""
    lag_ms = settings.cassandra.commit_log_lag_ms
    if not lag_ms or len(cassandras(settings)) > 1:
        return {**_DURABILITY, "commitlog_sync": "batch"}
    return {
        **_DURABILITY,
        "commitlog_sync": "periodic",
        "commitlog_sync_period": f"{max(1, lag_ms // 2)}ms",
        "periodic_commitlog_sync_lag_block": f"{lag_ms}ms",
    }


_DURABILITY: Mapping[str, Any] = {
    "commitlog_total_space": "512MiB",  # bounds what a start after kill -9 replays
    "disk_failure_policy": "die",  # the launcher starts it again and says so
    "commit_failure_policy": "die",
    "auto_snapshot": False,  # TRUNCATE and DROP mean it
}

# The formats that 5.0 recommends to new clusters: conf/cassandra_latest.yaml.
_STORAGE: Mapping[str, Any] = {
    "storage_compatibility_mode": "NONE",
    "sstable": {"selected_format": "bti"},
    "uuid_sstable_identifiers_enabled": True,
    "memtable": {
        "configurations": {"trie": {"class_name": "TrieMemtable"}, "default": {"inherits": "trie"}},
    },
    "memtable_allocation_type": "offheap_objects",
}

# For two cores and a heap well under 1 GB.
_SIZES: Mapping[str, Any] = {
    "concurrent_compactors": 1,
    "file_cache_size": "32MiB",
    "networking_cache_size": "32MiB",
    "key_cache_size": "0MiB",  # bti tables do not use it
    "counter_cache_size": "0MiB",
    "native_transport_max_threads": 32,
    # Spark sends unlogged batches of many partitions on purpose, all for this one node. Upstream's limit of 50 KiB
    # would refuse 64 rows of 1 KiB; a commit-log segment of 32 MiB takes half of it.
    "batch_size_warn_threshold": "1024KiB",
    "batch_size_fail_threshold": "16384KiB",
    "unlogged_batch_across_partitions_warn_threshold": 10_000,
}
