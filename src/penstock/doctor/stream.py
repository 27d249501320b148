"""The stream: whether its checkpoint is whole, and that of the topic."""

from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.errors import StreamError
from penstock.pipelines.contract import Pipeline
from penstock.stream import checkpoint
from penstock.stream.failures import check_checkpoint, is_local


def checkpoint_of(settings: Settings, pipeline: Pipeline) -> Finding:
    """Whether the stream could begin with what its checkpoint says."""
    place = checkpoint(settings, pipeline)
    if not is_local(place):
        return note("checkpoint", f"{place} is not on this machine, and not looked into")
    try:
        check_checkpoint(place, pipeline)
    except StreamError as error:
        return failed("checkpoint", str(error), f"mv {place} {place}.old")
    return fine("checkpoint", place)
