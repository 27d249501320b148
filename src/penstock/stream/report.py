"""The state of each pipeline of a stream, in a file for whoever watches the stream: `servers.apps` reads it.

`{"ready": true, "pipelines": {"users": {"state": "running", "since": "2026-11-27T20:00:00+00:00", "error": ""}}}`
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

log = logging.getLogger(__name__)


class State(StrEnum):
    """Where a pipeline's query stands."""

    STARTING = "starting"
    """For the first time."""
    RUNNING = "running"
    FAILING = "failing"
    """It ended by itself, and is attempted again."""
    FAILED = "failed"
    """It ended, and another attempt would end in the same way."""
    REFUSED = "refused"
    """Its declaration is not sound, or collides with another one."""


@dataclass(frozen=True)
class Standing:
    """A state, since when, and what is wrong."""

    state: State
    error: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


def report(file: Path | None, standings: Mapping[str, Standing], *, ready: bool, last: str) -> str:
    """Writes the file if it would say something else than `last`, which is what this returned; returns what it says.

    `ready` says that every pipeline has run or failed once. A disk that takes no file stops no query.
    """
    told = {name: {**asdict(one), "since": one.since.isoformat()} for name, one in standings.items()}
    text = json.dumps({"ready": ready, "pipelines": told})
    if file is None or text == last:
        return text
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(text, "utf-8")
        draft.replace(file)
    except OSError as error:
        log.warning("could not write %s: %s", file, error)
    return text
