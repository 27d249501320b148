"""The process that owns the servers: `python -m penstock.launcher.supervisor`, started by `control.up`.

It runs what `run/request.json` asks for, answers in `run/state.json`, and is signalled when something changed:
SIGHUP to read the request again, SIGTERM or SIGINT to stop everything and end. A kill -9 leaves the servers running;
its watchdog becomes the next supervisor, which finds and adopts them. One lives in each home: it holds a lock for as
long as it lives.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from penstock.config import Settings, read_settings
from penstock.errors import PenstockError, ServiceError
from penstock.launcher import logs, process_tree
from penstock.launcher.afterwards import Afterwards
from penstock.launcher.home import Home
from penstock.launcher.process import SUPERVISOR, Process
from penstock.launcher.runner import Runner, Running
from penstock.launcher.selection import load
from penstock.launcher.service import Service
from penstock.launcher.state import (
    ONCE_READY,
    Phase,
    RecordedService,
    fingerprint,
    living_supervisor,
    read_recorded,
    read_request,
    record_supervisor,
)
from penstock.launcher.state_store import StateStore
from penstock.launcher.threads import in_thread
from penstock.launcher.watchdog import WATCHDOG, Watchdog
from penstock.locks import HeldError, held
from penstock.waiting import BackOff

log = logging.getLogger(__name__)

_ROTATION_EVERY_S = 5.0
_ADOPTABLE = (Phase.STARTING, *ONCE_READY, Phase.RESTARTING)
_DETACHED = b"1"


class Supervisor:
    """Runs the requested services until told to stop."""

    def __init__(
        self, settings: Settings, services: Sequence[Service], watchdog: Watchdog, *, revived: bool = False
    ) -> None:
        self._home = Home(settings.home)
        self._services = {service.name: service for service in services}
        self._watchdog = watchdog
        self._revived = revived
        self._silence_s = settings.stack.silence_s
        self._settings = fingerprint(settings)
        self._states = StateStore(self._home, self._settings)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._asked = asyncio.Event()
        self._afterwards = Afterwards((service.afterwards for service in services), self._home)

    async def run(self, on_started: Callable[[], None]) -> None:
        """Returns when everything has been stopped; calls back once it can be signalled and has answered."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._asked.set)
        found, others = self._find()
        self._take_up(found)
        on_started()
        guarding = asyncio.create_task(self._guard())
        serving = asyncio.create_task(self._serve(found, others))
        stopping = asyncio.create_task(self._wait_for_stop())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            log.critical("stopping everything after a defect of the supervisor", exc_info=serving.exception())
        await _cancel([guarding, serving, stopping])
        self._watchdog.dismiss()
        await self._end()

    async def _wait_for_stop(self) -> None:
        await self._stop.wait()

    async def _guard(self) -> None:
        """There is a watchdog at all times; one that was killed is replaced."""
        back_off = BackOff(longest_s=5)
        while True:
            since = time.monotonic()
            try:
                await Running(*self._watchdog.living()).exit
                log.warning("the watchdog ended: starting another")
            except (ServiceError, OSError):
                log.exception("there is no watchdog")  # the servers have their supervisor nevertheless
            await asyncio.sleep(back_off.next_s(time.monotonic() - since))

    def _find(self) -> tuple[dict[str, RecordedService], list[RecordedService]]:
        """What an earlier supervisor left: services to adopt or, if it was killed just now, revive; what else runs."""
        recorded = read_recorded(self._home)
        if recorded is None:
            return {}, []
        living = [service for service in recorded.services if service.lives]
        wanted = read_request(self._home).names if recorded.settings == self._settings else ()
        left = recorded.services if self._revived else living
        found = {one.name: one for one in left if one.name in wanted and one.phase in _ADOPTABLE}
        return found, [one for one in living if one.name not in found]

    def _take_up(self, found: Mapping[str, RecordedService]) -> list[RecordedService]:
        """Records the requested services; returns those that are recorded and no longer requested."""
        request = read_request(self._home)
        wanted = [service for name, service in self._services.items() if name in request.names]
        dropped = [service for service in self._states.services if service.name not in request.names]
        kept = {service.name: service for service in self._states.services}
        # Whoever waits for this request must not take an earlier supervisor's word that a service is ready.
        begun = {name: one.model_copy(update={"phase": Phase.STARTING}) for name, one in found.items()}
        entries = [kept.get(one.name) or begun.get(one.name) or RecordedService.of(one) for one in wanted]
        self._states.post([_again(entry) for entry in entries] + dropped, request.number)
        return dropped

    async def _serve(self, found: Mapping[str, RecordedService], others: Sequence[RecordedService]) -> None:
        home = self._home.path
        self._tasks = {name: self._keep(name, service) for name, service in found.items()}
        try:
            await in_thread(
                lambda: process_tree.stop_all(others, home, lambda name, phase: log.info("%s: %s", name, phase))
            )
            await in_thread(lambda: process_tree.sweep(home, spare=[*found, WATCHDOG]))
        except ServiceError:
            log.exception("an earlier life of this stack could not be ended")
        while True:
            self._asked.clear()
            await self._drop(self._take_up({}))
            for service in self._states.services:
                if service.name not in self._tasks or self._tasks[service.name].done():
                    self._tasks[service.name] = self._keep(service.name)
            while not self._asked.is_set():
                await _either(self._asked, _ROTATION_EVERY_S)
                await in_thread(self._rotate)
                self._afterwards.look(ready=all(one.phase is Phase.READY for one in self._states.services))

    def _keep(self, name: str, found: RecordedService | None = None) -> asyncio.Task[None]:
        runner = Runner(self._services[name], self._home, self._states, self._silence_s)
        return asyncio.create_task(runner.keep(found, revive=self._revived))

    async def _drop(self, dropped: Sequence[RecordedService]) -> None:
        if not dropped:
            return
        await _cancel([self._tasks.pop(one.name) for one in dropped if one.name in self._tasks])
        await self._stop_services([self._states[one.name] for one in dropped])
        gone = {one.name for one in dropped}
        kept = [service for service in self._states.services if service.name not in gone]
        self._states.post(kept, read_request(self._home).number)

    async def _end(self) -> None:
        await _cancel(self._tasks.values())
        await self._stop_services(self._states.services)
        try:
            await in_thread(lambda: process_tree.sweep(self._home.path, roots=[Process.current()]))
        except ServiceError:
            log.exception("something was left behind")

    async def _stop_services(self, services: Sequence[RecordedService]) -> None:
        loop = asyncio.get_running_loop()

        def post(name: str, phase: Phase) -> None:
            changes = {"process": None} if phase is Phase.STOPPED else {}
            self._states.update(name, phase=phase, **changes)

        def report(name: str, phase: Phase) -> None:
            loop.call_soon_threadsafe(post, name, phase)

        try:
            await in_thread(lambda: process_tree.stop_all(services, self._home.path, report))
        except ServiceError:
            log.exception("not everything could be stopped")

    def _rotate(self) -> None:
        for path in (*(service.log for service in self._services.values()), self._home.log(SUPERVISOR)):
            try:
                if logs.rotate(path):
                    log.info("rotated %s", path)
            except OSError:
                log.exception("could not rotate %s", path)  # a full disk, perhaps: the servers go on


def _again(entry: RecordedService) -> RecordedService:
    """A failed service waits for its next chance; every other one stays as it is."""
    if entry.phase is not Phase.FAILED:
        return entry
    return entry.model_copy(update={"phase": Phase.WAITING, "failure": None})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a supervisor; with `--detach` in a process of its own, returning once that has started."""
    parser = argparse.ArgumentParser(prog="python -m penstock.launcher.supervisor", description=__doc__)
    parser.add_argument("--services", required=True, help="module:function that declares them")
    parser.add_argument("--detach", action="store_true", help="run in the background")
    parser.add_argument("--revived", action="store_true", help="in place of one that was killed")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    # Until it is handled; the request is read after that.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    started = _detach() if options.detach else None
    try:
        _supervise(options.services, started, revived=options.revived)
    except PenstockError as error:
        log.error("%s", error)  # noqa: TRY400 - it says all there is to say
        return error.exit_code
    return 0


def _supervise(reference: str, started: int | None, *, revived: bool) -> None:
    settings = read_settings()
    home = Home(settings.home)
    if revived and not home.run.exists():
        return  # deleted under a running stack: `down` ends what is left
    home.make()
    with _the_only_one(home):
        if revived and not read_request(home).names:
            return
        watchdog = Watchdog(settings, reference)
        try:
            # Before anybody can know of us, and so kill us.
            watchdog.living()
            record_supervisor(home, Process.current())
            services = load(reference)(settings)
            asyncio.run(Supervisor(settings, services, watchdog, revived=revived).run(lambda: _report_start(started)))
        finally:
            # Also after an error: who asks in the moment between it and our end must not take us for one that works.
            home.supervisor.unlink(missing_ok=True)
            watchdog.dismiss()


@contextlib.contextmanager
def _the_only_one(home: Home) -> Iterator[None]:
    with contextlib.ExitStack() as holding:
        try:
            holding.enter_context(held(home.supervisor_lock))
        except HeldError as error:
            other = living_supervisor(home)
            who = f"process {other.pid}" if other else "another process"
            raise ServiceError(f"{who} already supervises {home.path}; stop it with `penstock down`") from error
        yield


def _detach() -> int:
    """Leaves the caller's process behind: it returns once the detached one has started, or has failed to.

    If the caller is killed before, the detached process notices when it reports, and ends too.
    """
    read_end, write_end = os.pipe()
    if os.fork():
        os.close(write_end)
        os._exit(0 if os.read(read_end, 1) == _DETACHED else 1)
    os.close(read_end)
    os.setsid()
    return write_end


def _report_start(descriptor: int | None) -> None:
    if descriptor is not None:
        os.write(descriptor, _DETACHED)
        os.close(descriptor)


async def _either(event: asyncio.Event, timeout_s: float) -> None:
    """Returns when the event is set, or after a while."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    cancelled = list(tasks)
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*cancelled, return_exceptions=True)


if __name__ == "__main__":
    sys.exit(main())
