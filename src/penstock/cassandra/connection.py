"""How the Python driver reaches Cassandra: nodes, timeouts, credentials and TLS, as the settings say."""

import ssl

from cassandra import ConsistencyLevel, ProtocolVersion
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.connection import DefaultEndPoint
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    TokenAwarePolicy,
)
from cassandra.query import dict_factory

from penstock.config import CassandraSettings
from penstock.network import tls


def cluster_of(settings: CassandraSettings) -> Cluster:
    """The cluster of these settings, to which nothing is connected yet; rows will be dictionaries."""
    nodes = DCAwareRoundRobinPolicy(local_dc=settings.datacenter)
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(nodes),
        consistency_level=ConsistencyLevel.name_to_value[settings.consistency_level],
        request_timeout=settings.request_timeout_s,
        row_factory=dict_factory,
        # A node that was killed leaves its requests unanswered; half a second later another replica is asked.
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(delay=0.5, max_attempts=2),
    )
    credentials = PlainTextAuthProvider(settings.username, settings.password.get_secret_value())
    return Cluster(
        _contact_points(settings),
        port=settings.port,
        # Every node from 2.2 to 5.0 speaks it; left to itself the driver begins with a beta and warns twice.
        protocol_version=ProtocolVersion.V4,
        auth_provider=credentials if settings.username else None,
        ssl_context=_context(settings) if settings.ssl else None,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        connect_timeout=settings.request_timeout_s,
        # The driver's own 2 s are too few on a busy machine, and a stream that cannot begin is not begun again.
        control_connection_timeout=settings.request_timeout_s,
        # Seconds; the driver's own limit is ten minutes, far longer than a node takes to come back.
        reconnection_policy=ExponentialReconnectionPolicy(base_delay=0.5, max_delay=10),
    )


def _contact_points(settings: CassandraSettings) -> list[str | DefaultEndPoint]:
    """With TLS as they were given, for that is the name which a certificate must have, as Java's driver has it too.

    The driver would look a name up at once and keep its addresses only.
    """
    given = [address.strip() for address in settings.contact_points.split(",")]
    return [DefaultEndPoint(one, settings.port) for one in given] if settings.ssl else [*given]


def _context(settings: CassandraSettings) -> ssl.SSLContext:
    password = settings.ssl_key_password.get_secret_value()
    who = tls.identity(settings.ssl_certificate_location, settings.ssl_key_location, password)
    return tls.client_context(settings.ssl_ca_location, who, verify_hostname=settings.ssl_hostname_verification)
