"""The state of each service: written to `state.json` for other processes, and awaited by the supervisor's own tasks."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from penstock.extras import version
from penstock.launcher.home import Home
from penstock.launcher.process import boot_id
from penstock.launcher.state import Phase, Recorded, RecordedService, write

log = logging.getLogger(__name__)


class StateStore:
    """Lives in one event loop; every change is in `state.json` before anybody acts on it."""

    def __init__(self, home: Home, settings: dict[str, str]) -> None:
        self._home = home
        self._settings = settings
        # Once: an upgrade changes the package under a supervisor that runs.
        self._version = version("penstock")
        self._request = 0
        self._services: dict[str, RecordedService] = {}
        self._changed = asyncio.Event()

    @property
    def services(self) -> tuple[RecordedService, ...]:
        return tuple(self._services.values())

    def __getitem__(self, name: str) -> RecordedService:
        return self._services[name]

    def __contains__(self, name: str) -> bool:
        return name in self._services

    def post(self, services: Sequence[RecordedService], request: int) -> None:
        """Replaces all states by those of these services, in this order, in answer to this request."""
        self._services = {service.name: service for service in services}
        self._request = request
        self._publish()

    def update(self, name: str, **changes: Any) -> None:
        self._services[name] = self._services[name].model_copy(update=changes)
        if "phase" in changes:
            log.info("%s is %s", name, changes["phase"])
        self._publish()

    async def until_ready(self, names: Sequence[str]) -> None:
        await self._until(lambda: all(self._services[name].phase is Phase.READY for name in names))

    async def until_begun(self, names: Sequence[str]) -> None:
        """Returns when none of them is to come any more, or something failed, for which others may wait in vain."""

        def settled() -> bool:
            phases = {name: service.phase for name, service in self._services.items()}
            to_come = any(phases.get(name) in (Phase.WAITING, Phase.STARTING) for name in names)
            return not to_come or Phase.FAILED in phases.values()

        await self._until(settled)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _publish(self) -> None:
        recorded = Recorded(
            boot=boot_id(),
            version=self._version,
            settings=self._settings,
            request=self._request,
            services=self.services,
        )
        try:
            write(self._home.state, recorded.model_dump_json())
        except OSError:
            # A full disk must not stop the watch over the servers; the marker still finds what is not recorded.
            log.exception("could not record the state")
        self._changed.set()
        self._changed = asyncio.Event()
