"""What a command that runs Spark needs first."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.config import Settings


def ready_for_spark(settings: "Settings") -> Sequence[Path]:
    """Fetches the jars and returns Spark's; from now on this process finds Java where pyspark looks for it."""
    from penstock.demo import fetch_jars
    from penstock.services import jars
    from penstock.services.java import find_java
    from penstock.services.spark import driver_environment

    java = find_java(settings)  # before minutes of downloads
    fetch_jars(settings)
    # pyspark finds Java and itself in the environment of the process, and nowhere else.
    os.environ.update(driver_environment(settings, java))
    return jars.classpath(settings, "spark")
