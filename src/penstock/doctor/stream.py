"""The stream: whether its checkpoint is whole, and that of the topic."""

from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.errors import StreamError
from penstock.extras import not_installed
from penstock.pipelines.contract import Pipeline


def checkpoint_of(settings: Settings, pipeline: Pipeline) -> Finding:
    """Whether the stream could begin with what its checkpoint says."""
    try:
        from penstock.stream import checkpoint  # noqa: PLC0415 - where the stream runs elsewhere it is not installed
        from penstock.stream.failures import check_checkpoint, is_local  # noqa: PLC0415
    except ModuleNotFoundError as error:
        return note("checkpoint", f"not looked into: {not_installed(error)}")
    place = checkpoint(settings, pipeline)
    if not is_local(place):
        return note("checkpoint", f"{place} is not on this machine, and not looked into")
    try:
        check_checkpoint(place, pipeline)
    except StreamError as error:
        return failed("checkpoint", str(error), f"mv {place} {place}.old")
    return fine("checkpoint", place)
