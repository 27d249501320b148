"""Starts the driver's JVM without a secret on its command line.

Every user of a machine can read the command line of each process, and pyspark puts each option there that it knows when
it starts the JVM. So the JVM is started with the few options that it needs for that, and is told the others over the
connection with it.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from py4j.java_gateway import JavaObject
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from penstock.config.names import PREFIX
from penstock.errors import ConfigError

REDACTION = "spark.redaction.regex"
SECRET = "|".join(
    (
        r"(?i)secret|pass(w(or)?d|phrase|code)|token|credential|jaas|signature|keystore[.]key",
        r"(access|account|api|private|shared|encryption|signing|master|storage)[._-]?key",
        r"(^|[._-])(sas|pwd)([._-]|$)",
    )
)
"""What the names of secret options hold: Spark does not show their values on its pages.

Spark's own is `(?i)secret|password|token|access[.]?key`; the rest is of Kafka's, Hadoop's and the clouds' options.
"""
AT_START = frozenset(
    (
        "spark.app.name",
        "spark.archives",
        "spark.driver.defaultJavaOptions",
        "spark.driver.extraClassPath",
        "spark.driver.extraJavaOptions",
        "spark.driver.extraLibraryPath",
        "spark.driver.memory",
        "spark.driver.userClassPathFirst",
        "spark.files",
        "spark.jars",
        "spark.jars.excludes",
        "spark.jars.ivy",
        "spark.jars.ivySettings",
        "spark.jars.packages",
        "spark.jars.repositories",
        "spark.kerberos.keytab",
        "spark.kerberos.principal",
        "spark.master",
        "spark.submit.deployMode",
        "spark.submit.pyFiles",
    )
)
"""What only the start of a driver's JVM can take; none is a secret by its meaning.

https://github.com/apache/spark/blob/v4.2.0/core/src/main/scala/org/apache/spark/deploy/SparkSubmitArguments.scala
"""
_CREDENTIALS_IN_URL = re.compile(r"://[^/\s,]*@")


def launch(options: Mapping[str, str]) -> None:
    """Starts the JVM with `shown` of the options, unless this process has one already.

    The session must be given all of them afterwards; they then reach executors too. Options of the JVM itself
    (`spark.driver.extraJavaOptions`) stand on its command line, whatever is in them.

    Raises:
        ConfigError: one of those that the start takes holds credentials.
    """
    conf = SparkConf().setAll([*shown(options).items()])
    with _settings_left_out():
        SparkContext._ensure_initialized(conf=conf)


def let_java_call(spark: SparkSession) -> None:
    """Has the driver's JVM call objects of this process, and nobody else: whoever calls must know the JVM's secret.

    As `ensure_callback_server_started` of pyspark 4.2.0, whose server answers every user of the machine. Its
    `resetCallbackClient` would make a client without the secret (`copyWith` of PythonClient in py4j 0.10.9.9), so the
    JVM's first one, which has it, is told the port.
    """
    gateway: Any = spark.sparkContext._gateway
    if gateway.__dict__.get("_callback_server"):  # as pyspark asks: any other attribute is a package of Java
        return
    parameters = gateway.callback_server_parameters
    parameters.auth_token = gateway.gateway_parameters.auth_token
    parameters.eager_load = parameters.daemonize = parameters.daemonize_connections = True
    parameters.port = 0
    gateway.start_callback_server(parameters)
    server = gateway.__dict__["_callback_server"]
    server.port = gateway._python_proxy_port = server.server_socket.getsockname()[1]
    client: Any = JavaObject("GATEWAY_SERVER", gateway._gateway_client).getCallbackClient()
    port = client.getClass().getSuperclass().getDeclaredField("port")
    port.setAccessible(True)
    port.setInt(client, server.port)


def shown(options: Mapping[str, str]) -> dict[str, str]:
    """The options that may stand on a command line: a list of names, for those of secrets are nobody's to foresee.

    Raises:
        ConfigError: an address among them holds a user name or a password.
    """
    found = {name: value for name, value in options.items() if name in AT_START}
    for name, value in found.items():
        if _CREDENTIALS_IN_URL.search(value):
            raise ConfigError(
                f"setting spark.conf has an address with a user name or a password in {name}, which every user of this "
                "machine could read in the command line of Spark's driver. Name a file of settings that only you can "
                "read (for repositories: spark.jars.ivySettings), or download the files yourself and name those."
            )
    return found


@contextmanager
def _settings_left_out() -> Iterator[None]:
    """Without the settings in the environment, which pyspark hands to the JVM whole: the JVM reads none of them."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    for name in ours:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(ours)
