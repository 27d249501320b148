"""What a command that runs Spark needs first."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.config import Settings


def ready_for_spark(settings: "Settings") -> Sequence[Path]:
    """Fetches the jars and returns Spark's; from now on this process finds Java where pyspark looks for it."""
    from penstock import screen
    from penstock.services import jars
    from penstock.services.java import find_java
    from penstock.services.spark import driver_environment

    with screen.download_bar("Downloading the servers") as show:
        jars.fetch(settings, lambda progress: show(progress.bytes_done, progress.bytes_total))
    # pyspark finds Java and itself in the environment of the process, and nowhere else.
    os.environ.update(driver_environment(settings, find_java(settings)))
    return jars.classpath(settings, "spark")
