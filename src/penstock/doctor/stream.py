"""The stream: whether each pipeline's checkpoint is whole, and that of its topic, and whether its query runs."""

from collections.abc import Iterator, Sequence

from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.errors import StreamError
from penstock.extras import not_installed
from penstock.launcher.service import NotReady
from penstock.pipelines.contract import Pipeline
from penstock.servers import apps


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


def queries(settings: Settings, pipelines: Sequence[Pipeline]) -> Iterator[Finding]:
    """Whether each pipeline has a query in the stream that runs, and why not; nothing where none runs."""
    try:
        running = apps.queries(settings.ports.spark_driver_ui, settings.hosts.stream)
    except NotReady:
        return  # `penstock up` starts it, or it is elsewhere
    told = {one.name: one for one in apps.pipelines(settings)}
    if not running and not told:
        return  # some other application of Spark
    for pipeline in pipelines:
        subject, state = f"query of {pipeline.name}", told.get(pipeline.name)
        if pipeline.name in running:
            yield fine(subject, "runs")
        elif state and state.is_well:
            yield note(subject, "is starting")
        else:
            why = f"{state.state}: {state.error}" if state else "the stream carries other pipelines"
            yield failed(subject, why, "Correct what it names; penstock logs stream has the whole story")
