"""How far the stream came by its checkpoint, for the time in which Cassandra, which has its counts, does not answer.

Without Spark, and only where the checkpoint is a folder of this machine. What it says may be a micro-batch old.
"""

import json
from pathlib import Path

from penstock.config import Settings, is_url
from penstock.pipelines.contract import Pipeline


def position(settings: Settings, pipeline: Pipeline) -> dict[int, int]:
    """Partition -> last offset of the micro-batch that was committed last; empty where that cannot be read."""
    place = settings.spark.checkpoint
    if not place or is_url(place):
        return {}
    folder = Path(place, pipeline.name)
    try:
        number = max(int(path.name) for path in (folder / "commits").iterdir() if path.name.isdecimal())
        # The source's offsets are JSON in the last line: `OffsetSeqLog` of Spark 4.2.0.
        last_line = (folder / "offsets" / str(number)).read_text("utf-8").splitlines()[-1]
        ends: dict[str, int] = json.loads(last_line)[pipeline.topic]
    except (OSError, ValueError, LookupError):  # there is none yet, or it is cleaned up or damaged: the doctor tells
        return {}
    return {int(partition): end - 1 for partition, end in ends.items() if end}
