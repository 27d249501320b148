"""Runs one service: starts it when it can start, waits until it is ready, and starts it again when it dies or hangs.

Every wait here can be cancelled at any moment; a cancelled runner leaves its processes to whoever cancelled it.
"""

import asyncio
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

from penstock.errors import PenstockError
from penstock.launcher import ports, process_tree
from penstock.launcher.home import Home
from penstock.launcher.logs import tail
from penstock.launcher.process import Process, spawn
from penstock.launcher.service import NotReady, Service
from penstock.launcher.silence import Silence, Watch
from penstock.launcher.state import ONCE_READY, Failure, Phase, RecordedService, clock_time
from penstock.launcher.state_store import StateStore
from penstock.launcher.threads import in_thread
from penstock.waiting import BackOff

log = logging.getLogger(__name__)

ADOPTION_TIMEOUT_S = 10.0
"""For a server that was ready to answer its new supervisor; longer than any probe takes on a busy machine."""
_POLL_S, _LONGEST_POLL_S = 0.1, 0.5
_TAIL_LINES = 20


class StartFailed(Exception):  # noqa: N818 - ends a start inside this package; `Failure.error` is what users see
    """A start that came to nothing, and why."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(str(failure.error()))


class Running:
    """A living server process: one that we started, or one that we found. `exit` ends with it.

    The exit code of a found process is its parent's to know: None.
    """

    def __init__(self, process: Process, child: subprocess.Popen[bytes] | None = None) -> None:
        self.process = process
        self._child = child
        self.exit = asyncio.create_task(self._exit())

    async def _exit(self) -> int | None:
        await _gone(self.process)
        return self._child.wait() if self._child else None


class Runner:
    """Runs one service for the supervisor. `silence_s` is the longest silence before a restart; 0 means no restart."""

    def __init__(self, service: Service, home: Home, states: StateStore, silence_s: float) -> None:
        self._service = service
        self._home = home
        self._states = states
        self._silence_s = silence_s
        self._back_off = BackOff()
        self._log_start = 0

    async def keep(self, found: RecordedService | None = None, *, revive: bool = False) -> None:
        """Runs until cancelled, or until a first start fails; a defect in here fails this service and no other.

        `found` is what an earlier supervisor left. With `revive` that one was killed a moment ago, and what it had
        ready is started again however often that fails, as it would have done.
        """
        name = self._service.name
        try:
            running = await self._adopt(found) if found else None
            if running is None and found and revive and found.phase is not Phase.STARTING:
                running = await self._revive(_death(name, None), 0)
            running = running or await self._start()
            while True:
                since = time.monotonic()
                running = await self._revive(await self._until_over(running), time.monotonic() - since)
        except StartFailed as failed:
            log.warning("%s failed: %s", name, failed)
            self._states.update(name, phase=Phase.FAILED, process=None, error=str(failed), failure=failed.failure)
        except Exception as error:  # the watch over the other services must go on
            log.exception("%s failed by a defect of the supervisor", name)
            failure = Failure(service=name, kind="other", text=f"{name}: {error!r}; see {self._home.log('supervisor')}")
            self._states.update(name, phase=Phase.FAILED, error=failure.text, failure=failure)

    async def _adopt(self, found: RecordedService) -> Running | None:
        """Takes over a living process, if it answers; ends it if it does not."""
        if found.process is None or not found.process.alive():
            return None
        running = Running(found.process)
        was_ready = found.phase in ONCE_READY
        self._states.update(self._service.name, phase=Phase.STARTING)
        try:
            await self._until_ready(running, ADOPTION_TIMEOUT_S if was_ready else self._service.start_timeout_s)
        except StartFailed as failed:
            log.warning("%s was found and not adopted: %s", self._service.name, failed)
            await in_thread(lambda: process_tree.stop(found, self._home.path))
            return None
        log.info("%s was found ready: process %s", self._service.name, found.process.pid)
        self._states.update(self._service.name, phase=Phase.READY, failure=None)
        return running

    async def _until_over(self, running: Running) -> str:
        """Why the service must be started again: it ended, or it was silent for too long and has been stopped."""
        watching = asyncio.create_task(Watch(self._service, self._silence_s, self._can_tell, self._show).run())
        # Waiting for it cancels no `exit`: it reaps the child, also when nobody waits any more.
        either: set[asyncio.Future[Any]] = {running.exit, watching}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
        if running.exit.done():
            return _death(self._service.name, running.exit.result())
        return await self._end_silent(watching.result())

    async def _end_silent(self, silence: Silence) -> str:
        name = self._service.name
        since = clock_time(silence.since)
        error = f"{name} did not answer for {silence.counted_s:.0f} s, since {since}; the last answer: {silence.answer}"
        log.warning("%s; stopping it", error)
        self._states.update(name, phase=Phase.RESTARTING, error=error)
        recorded = self._states[name]
        try:
            await in_thread(lambda: process_tree.stop(recorded, self._home.path))
        except PenstockError:
            log.exception("%s could not be stopped", name)  # before its next start that is tried again
        return error

    def _can_tell(self) -> bool:
        """Whether a bad answer is this server's own: it is not while something that it needs does not answer either."""
        states, service = self._states, self._service
        asked = (name for name in (*service.needs, *service.probed_through) if name in states)
        return all(states[name].phase is Phase.READY for name in asked)

    def _show(self, silence: Silence | None) -> None:
        name = self._service.name
        if silence is None:
            log.info("%s answers again", name)
            self._states.update(name, phase=Phase.READY)
        else:
            error = f"{name} does not answer: {silence.answer}"
            log.warning("%s", error)
            self._states.update(name, phase=Phase.NOT_ANSWERING, silent_since=silence.since, error=error)

    async def _revive(self, error: str, lived_s: float) -> Running:
        """Starts a service that was healthy until it runs again, however often that fails."""
        name = self._service.name
        while True:
            restarts = self._states[name].restarts + 1
            dead = self._states[name].process
            pause_s = self._back_off.next_s(lived_s)
            error += self._home.full_disk(name)
            log.warning("%s; starting it again in %.1f s, for the %d. time", error, pause_s, restarts)
            self._states.update(name, phase=Phase.RESTARTING, process=None, error=error, restarts=restarts)
            try:
                await self._clear_away(dead)
                await asyncio.sleep(pause_s)
                return await self._start(Phase.RESTARTING)
            except (StartFailed, PenstockError) as failed:
                error, lived_s = f"{name} did not start again: {failed}", 0.0

    async def _start(self, phase: Phase = Phase.STARTING) -> Running:
        """Returns when a client could use the service.

        Raises:
            StartFailed: it cannot be started, ended or did not answer in time; nothing of it runs any more.
        """
        service = self._service
        if phase is Phase.STARTING:
            self._states.update(service.name, phase=Phase.WAITING, failure=None)
            await self._states.until_begun(service.after)
        await self._states.until_ready(service.needs)
        began = time.monotonic()
        self._states.update(service.name, phase=phase)
        await self._prepare()
        running = self._spawn()
        try:
            await self._until_ready(running, service.start_timeout_s)
        except StartFailed:
            recorded = self._states[service.name]
            await in_thread(lambda: process_tree.stop(recorded, self._home.path))
            raise
        self._states.update(service.name, phase=Phase.READY, ready_after_s=round(time.monotonic() - began, 3))
        return running

    async def _prepare(self) -> None:
        service = self._service
        try:
            await self._clear_away(None)
            await in_thread(service.prepare)
            taken = await in_thread(lambda: next(ports.taken(service), None))
        except PenstockError as error:
            raise StartFailed(Failure(service=service.name, kind="other", text=str(error))) from error
        except Exception as error:
            # Whatever a preparation meets, its service cannot start, and the others can.
            log.exception("%s could not be prepared", service.name)
            text = f"{service.name} could not be prepared: {error!r}; see {self._home.log('supervisor')}"
            raise StartFailed(Failure(service=service.name, kind="other", text=text)) from error
        if taken is not None:
            holder = await in_thread(lambda: ports.holder(service.host, taken))
            raise StartFailed(Failure(service=service.name, kind="port_taken", port=taken, text=holder.text))

    async def _clear_away(self, dead: Process | None) -> None:
        await in_thread(lambda: process_tree.clear_away(self._service.name, dead, self._home.path))

    def _spawn(self) -> Running:
        # Nothing is awaited between the start and its record: a cancelled runner has recorded what it started.
        service = self._service
        self._log_start = service.log.stat().st_size if service.log.exists() else 0
        try:
            child = spawn(service, self._home.path)
        except PenstockError as error:
            raise StartFailed(Failure(service=service.name, kind="other", text=str(error))) from error
        process = Process.of(child.pid)
        if process is None:  # cannot be: a child that nobody has waited for keeps its pid
            raise StartFailed(self._exited(child.wait()))
        self._states.update(service.name, process=process, started_at=datetime.now(UTC), ready_after_s=None)
        return Running(process, child)

    async def _until_ready(self, running: Running, timeout_s: float) -> None:
        """Asks until the probe is content, and watches for the end of the process all the while."""
        began = time.monotonic()
        deadline = began + timeout_s
        answer = "none"
        while True:
            probe = in_thread(self._service.probe)
            either: set[asyncio.Future[Any]] = {running.exit, probe}
            remaining_s = max(0.0, deadline - time.monotonic())
            await asyncio.wait(either, timeout=remaining_s, return_when=asyncio.FIRST_COMPLETED)
            if running.exit.done():
                probe.cancel()
                raise StartFailed(self._exited(running.exit.result()))
            if probe.done():
                failure = probe.exception()
                if failure is None:
                    return
                answer = self._reading(failure)
            else:
                probe.cancel()
            if time.monotonic() >= deadline:
                raise StartFailed(self._not_ready(timeout_s, answer))
            # Asking ten servers ten times a second took a tenth of a core from their start.
            pause_s = min(_LONGEST_POLL_S, max(_POLL_S, (time.monotonic() - began) / 20))
            await asyncio.wait({running.exit}, timeout=pause_s)

    def _reading(self, failure: BaseException) -> str:
        if isinstance(failure, NotReady):
            return str(failure)
        log.warning("%s: its probe failed by itself", self._service.name, exc_info=failure)
        return repr(failure)

    def _exited(self, code: int | None) -> Failure:
        service = self._service
        return Failure(service=service.name, kind="exited", exit_code=code, log=service.log, tail=self._tail())

    def _not_ready(self, seconds: float, answer: str) -> Failure:
        service = self._service
        return Failure(
            service=service.name, kind="not_ready", seconds=seconds, text=answer, log=service.log, tail=self._tail()
        )

    def _tail(self) -> str:
        """The end of what this start wrote."""
        return "\n".join(tail(self._service.log, _TAIL_LINES, self._log_start)) or "(it wrote nothing)"


async def _gone(process: Process) -> None:
    """Returns when the process has ended, ours or not, at once where the system can tell (Linux 5.3 and later)."""
    try:
        descriptor = _open_pidfd(process.pid)
    except OSError:
        while process.alive():
            await asyncio.sleep(_POLL_S)
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(descriptor, ended.set)
        # Looked at once it can no longer be somebody else: the pid might have been given away before the open.
        if process.alive():
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _open_pidfd(pid: int) -> int:
    if sys.platform == "linux":
        return os.pidfd_open(pid)
    raise OSError(f"{sys.platform} has no pidfd")


def _death(name: str, code: int | None) -> str:
    return f"{name} died" if code is None else f"{name} ended with exit code {code}"
