"""Settings: frozen, read once at the door, passed down.

`read_settings` is the one reader of the environment and of `penstock.toml`. A setting `section.name` is the environment
variable `PENSTOCK_SECTION_NAME` and the key `name` in the file's table `[section]`; the environment wins.

Defaults and ports stand here, and nowhere else. What is done with a setting is in the package that needs it.
"""

from penstock.config.console import ConsoleSettings
from penstock.config.environment import (
    HADOOP,
    JVM,
    LIBPQ,
    SPARK,
    child_environment,
    forget,
    ignored,
    passed,
    pipeline_environment,
    variable,
)
from penstock.config.reader import (
    FILE_NAME,
    FILE_VARIABLE,
    declaring_files,
    markdown_table,
    project_file,
    read_settings,
    references,
)
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
from penstock.config.values import LAST_OFFSET, LAST_PORT, is_url

__all__ = [
    "CLUSTER",
    "FILE_NAME",
    "FILE_VARIABLE",
    "HADOOP",
    "JVM",
    "LAST_OFFSET",
    "LAST_PORT",
    "LIBPQ",
    "LOOPBACK",
    "SPARK",
    "AirflowSettings",
    "CassandraSettings",
    "ConsoleSettings",
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
    "declaring_files",
    "forget",
    "ignored",
    "is_url",
    "markdown_table",
    "passed",
    "pipeline_environment",
    "project_file",
    "read_settings",
    "references",
    "variable",
]
