"""Looks at the servers for all pages: every second while somebody watches or records flow, every five seconds else."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from starlette.exceptions import HTTPException

from penstock.audit.overview import Overview, PipelinePart, State
from penstock.console.history import History, Point, Rate, rate
from penstock.console.probe import Latency
from penstock.pipelines.contract import Pipeline

log = logging.getLogger(__name__)

WATCHED_S, IDLE_S = 1.0, 5.0
"""Between two looks."""
_RATE_OVER_S = 10.0
"""A micro-batch makes steps: rates are over so long."""


@dataclass(frozen=True)
class Moment:
    """One look at all servers, and how fast records flowed up to then."""

    number: int
    overview: Overview
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """Pipeline -> its rates."""
    latencies: Mapping[str, Latency] = field(default_factory=dict)
    """Pipeline -> from the API's answer to the row, where it was measured."""
    pipelines: Mapping[str, Pipeline] = field(default_factory=dict)
    """The declarations, by name."""


class Looks(Protocol):
    """The part of a `ProjectObserver` that the sampler needs."""

    @property
    def pipelines(self) -> Mapping[str, Pipeline]: ...

    def look(self) -> Overview: ...


class Probing(Protocol):
    """The part of `Probes` that the sampler needs."""

    def latencies(self, pipelines: Mapping[str, Pipeline]) -> Mapping[str, Latency]: ...


class Sampler:
    """Looks while it runs (`running`); `latest` is what it saw last."""

    def __init__(self, observer: Looks, history: History, probes: Probing | None) -> None:
        self._observer, self._history, self._probes = observer, history, probes
        self._recent: dict[str, deque[Point]] = {}
        self._watchers = 0
        self._changed = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._ended = False
        self.latest: Moment | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks in the background as long as the block runs."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def first(self) -> Moment:
        """The latest look; waits for the very first one."""
        moment = self.latest or await self._after(0)
        if moment is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The console is about to end.")
        return moment

    async def moments(self) -> AsyncIterator[Moment]:
        """Every moment from now on, until the `end`; looking is quicker as long as somebody takes them."""
        self._watchers += 1
        self._wanted.set()
        seen = 0
        try:
            while moment := await self._after(seen):
                seen = moment.number
                yield moment
        finally:
            self._watchers -= 1

    async def end(self) -> None:
        """Ends all that take moments."""
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def _after(self, number: int) -> Moment | None:
        """The latest, as soon as it is another than that; None at the end."""
        async with self._changed:
            while not self._ended and (self.latest is None or self.latest.number == number):
                await self._changed.wait()
            return None if self._ended else self.latest

    async def _run(self) -> None:
        number = 0
        while True:
            number += 1
            try:
                moment = await asyncio.to_thread(self._look, number)
            except Exception:  # of any kind: a page that tells of faults must outlive them, and the log has the cause
                log.exception("a look failed")
            else:
                async with self._changed:
                    self.latest = moment
                    self._changed.notify_all()
            self._wanted.clear()
            with suppress(TimeoutError):
                if self._is_busy():
                    await asyncio.sleep(WATCHED_S)
                else:
                    await asyncio.wait_for(self._wanted.wait(), IDLE_S)

    def _is_busy(self) -> bool:
        flows = self.latest and any(part.state is State.FLOWING for part in self.latest.overview.pipelines)
        return bool(self._watchers or flows)

    def _look(self, number: int) -> Moment:
        overview = self._observer.look()
        self._history.add(overview)
        at_s = overview.at.timestamp()
        rates = {part.name: self._rate(part, at_s) for part in overview.pipelines}
        pipelines = self._observer.pipelines
        latencies = self._probes.latencies(pipelines) if self._probes else {}
        return Moment(number, overview, rates, latencies, pipelines)

    def _rate(self, part: PipelinePart, at_s: float) -> Rate:
        now = Point.of(part, at_s)
        recent = self._recent.setdefault(part.name, deque())
        recent.append(now)
        while len(recent) > 2 and now.at_s - recent[1].at_s >= _RATE_OVER_S:
            recent.popleft()
        return rate(recent[0], now)
