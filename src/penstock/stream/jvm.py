"""Starts the driver's JVM without a secret on its command line.

Every user of a machine can read the command line of each process, and pyspark puts each option there that it knows when
it starts the JVM. So the JVM is started without the secret ones, and is told them over the connection with it.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark import SparkConf, SparkContext

from penstock.config.names import PREFIX
from penstock.errors import ConfigError

REDACTION = "spark.redaction.regex"
SECRET = r"(?i)secret|passw(or)?d|token|credential|(access|account|api|private)[._-]?key|jaas|keystore[.]key"  # noqa: S105
"""What the names of secret options hold: Spark does not show these on its pages, nor we on the command line.

Spark's own is `(?i)secret|password|token|access[.]?key`; the rest is of Kafka's and Hadoop's options.
"""


def launch(options: Mapping[str, str]) -> None:
    """Starts the JVM with those of the `options` that are not secret, unless this process has one already.

    Secret is what our expression or the user's own says: a user's may be about the pages only.

    The session must be given all of them afterwards; the secret ones then reach executors with the rest. Options of
    the JVM itself (`spark.driver.extraJavaOptions`) stand on its command line, whatever is in them.
    """
    secret = (_pattern(SECRET), _pattern(options.get(REDACTION, SECRET)))
    shown = [(name, value) for name, value in options.items() if not any(one.search(name) for one in secret)]
    conf = SparkConf().setAll(shown)
    with _settings_left_out():
        SparkContext._ensure_initialized(conf=conf)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(f"setting spark.conf has a {REDACTION} of {text!r}, which cannot be read: {error}") from error


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
