"""The price of a secure stack: the same pipeline in an open one and in a secure one, in turn."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bench import drain, latency, numbers
from bench.dataset import Dataset, fill
from bench.peers.spark import ours
from bench.place import Place, place, running, secure_place
from penstock.config import StackSettings
from penstock.launcher import control
from rig.stacks import settings_in

KINDS: Mapping[str, Callable[[Path], AbstractContextManager[Place]]] = {"open": place, "secure": secure_place}
IDLE_S = 20
"""Between the end of a start and the look at its memory."""


def rounds(home: Path, backlog: Dataset, steady: Dataset, load: latency.Load, count: int) -> Iterator[tuple[str, Any]]:
    """(kind, outcome) of each round: a whole stack started in an empty home, a backlog drained, a steady rate."""
    for label, kind, _ in numbers.turns(list(KINDS), count):
        outcome = _whole(home.with_name(f"{label}-{kind}-whole"), secure=kind == "secure")
        with KINDS[kind](home.with_name(f"{label}-{kind}")) as where:
            outcome |= _carried(where, backlog, steady, load)
        print(f"{label:8} {kind}: {outcome}", flush=True)
        yield kind, outcome


def _whole(home: Path, *, secure: bool) -> dict[str, Any]:
    """Seconds until the whole stack is ready in an empty home, and its memory (PSS) when it idles."""
    settings = settings_in(home, StackSettings(secure=secure))
    began_s = time.monotonic()
    with running(settings):
        start_s = time.monotonic() - began_s
        time.sleep(IDLE_S)
        state = control.status(settings)
    memory = sum(one.memory_pss_bytes or 0 for one in state.services) + (state.supervisor_memory_pss_bytes or 0)
    return {"start_s": start_s, "memory_gib": memory / 2**30}


def _carried(where: Place, backlog: Dataset, steady: Dataset, load: latency.Load) -> dict[str, Any]:
    fill(where.client, backlog)
    drained = drain.drain(where, drain.Entry(ours(where.settings), backlog), "drain")
    followed = latency.latency(where, ours(where.settings, "latest"), steady, load, "latency")
    if wrong := drained["wrong"] or followed["wrong"]:
        return {"wrong": wrong}
    kept = {name: followed[name] for name in ("busy_percent", "p50_ms", "p99_ms")}
    return {"wrong": "", "rate": drained["rate"], "total_rate": drained["total_rate"], **kept}
