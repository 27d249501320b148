"""Prepares a command that runs Spark: jars, Java, and an environment without other Sparks."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.config import Settings


def ready_for_spark(settings: "Settings") -> Sequence[Path]:
    """Fetches the jars and returns what Spark loads; from now on this process finds Java where pyspark looks for it."""
    from penstock.cli.support.start import fetch_jars
    from penstock.servers.java import find_java
    from penstock.servers.spark import application_jars, driver_environment

    java = find_java(settings)  # before minutes of downloads
    fetch_jars(settings)
    forget_other_sparks(settings)
    # pyspark finds Java and itself in the environment of the process, and nowhere else.
    os.environ.update(driver_environment(settings, java))
    return application_jars(settings, java)


def forget_other_sparks(settings: "Settings") -> None:
    """Takes out of this process's environment what the user has there for other Sparks and other Java programs.

    Hadoop's variables stay where the settings name something of Hadoop's: YARN, or a checkpoint in a file system of its
    own.
    """
    from penstock.config import HADOOP, JVM, SPARK, forget, passed

    with_hadoop = settings.spark.master.startswith("yarn") or "://" in settings.spark.checkpoint
    forget((*JVM, *SPARK, *(() if with_hadoop else HADOOP)), kept=passed(settings))
