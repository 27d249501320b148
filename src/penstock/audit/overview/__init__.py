"""The overview: where records are at this moment, from the API to the table, for all pipelines.

One picture (`Overview`) that the terminal and JSON share, and whatever else shows it. An `Observer` makes it, as often
as it is asked, by small questions to each server: none reads a whole table or topic.
"""

from penstock.audit.overview import clients
from penstock.audit.overview.observer import PATIENCE_S, Observer
from penstock.audit.overview.picture import (
    Overview,
    PartitionPart,
    PipelinePart,
    RefusedPart,
    RunPart,
    Server,
    Standing,
    State,
)
from penstock.audit.overview.project import ProjectObserver
from penstock.audit.overview.words import called, lasting

__all__ = [
    "PATIENCE_S",
    "Observer",
    "Overview",
    "PartitionPart",
    "PipelinePart",
    "ProjectObserver",
    "RefusedPart",
    "RunPart",
    "Server",
    "Standing",
    "State",
    "called",
    "clients",
    "lasting",
]
