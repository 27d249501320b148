"""The local stack: which servers it has. Each is declared in a file of its own; here they come together."""

from collections.abc import Sequence

from penstock.config import Settings
from penstock.launcher.home import check_paths
from penstock.launcher.selection import choose
from penstock.launcher.service import Service

STACK = "penstock.servers.stack:stack"
"""Reference of the function that declares the services, for another process to find it."""


def stack(settings: Settings, names: Sequence[str] = ()) -> tuple[Service, ...]:
    """The services of that name with all they need, in an order in which they could start; all if none is named.

    Raises:
        ServiceError: no service has that name.
        ConfigError: the path of a folder cannot be written into the servers' settings.
    """
    check_paths(settings)
    # Imported here: whoever only supervises another set of services need not carry these.
    from penstock.servers import airflow, apps, cassandra, kafka, nodes, postgres, spark, zookeeper  # noqa: PLC0415
    from penstock.servers.java import find_java  # noqa: PLC0415
    from penstock.servers.secrets import load_secrets  # noqa: PLC0415

    java = find_java(settings)
    load_secrets(settings)  # a file that cannot be used is named before anything starts
    services = (
        postgres.postgres(settings),
        *([zookeeper.zookeeper(settings, java)] if settings.stack.kafka == "zookeeper" else []),
        *(kafka.kafka(settings, java, node) for node in nodes.brokers(settings)),
        *(cassandra.cassandra(settings, java, node) for node in nodes.cassandras(settings)),
        spark.spark_master(settings, java),
        *(spark.spark_worker(settings, java, node) for node in nodes.workers(settings)),
        apps.console(settings),
        apps.simulator(settings),
        apps.stream(settings, java),
        *airflow.airflow(settings),
    )
    return choose(services, names)
