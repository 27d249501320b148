"""Settings: frozen, read once at the door, passed down.

`read_settings` is the one reader of the environment and of `penstock.toml`. A setting `section.name` is the environment
variable `PENSTOCK_SECTION_NAME` and the key `name` in the file's table `[section]`; the environment wins.
"""

from penstock.config.reader import FILE_NAME, FILE_VARIABLE, child_environment, markdown_table, read_settings
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
    SourceSettings,
    SparkSettings,
    StackSettings,
)
from penstock.config.settings import Settings

__all__ = [
    "CLUSTER",
    "FILE_NAME",
    "FILE_VARIABLE",
    "LOOPBACK",
    "AirflowSettings",
    "CassandraSettings",
    "DownloadSettings",
    "Heaps",
    "Hosts",
    "KafkaSettings",
    "Ports",
    "SecretSettings",
    "Settings",
    "SourceSettings",
    "SparkSettings",
    "StackSettings",
    "child_environment",
    "markdown_table",
    "read_settings",
]
