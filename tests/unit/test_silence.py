"""Silence of a server: what counts as one, and that asking for it costs one thread."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock.launcher.service import NotReady, Service
from penstock.launcher.silence import Silence, Watch

NOW = datetime(2025, 3, 12, 14, 3, 12, tzinfo=UTC)


def silence(*asked_s: float) -> Silence:
    first, *rest = asked_s
    silence = Silence(NOW, first, "no")
    for each_s in rest:
        silence.goes_on(each_s, "no")
    return silence


def test_a_single_bad_answer_is_no_silence() -> None:
    assert not silence(0).confirmed
    assert silence(0, 1).confirmed


def test_silence_is_as_long_as_somebody_asked() -> None:
    assert silence(0, 4, 8, 12).counted_s == 12


def test_time_in_which_nobody_asked_does_not_count() -> None:
    night_s = 8 * 3_600
    assert not silence(0, night_s, night_s + 4).is_longer_than(20)


@pytest.mark.parametrize(("timeout_s", "due"), [(12, True), (13, False), (0, False)])
def test_restart_is_due_after_the_limit_and_never_without_one(timeout_s: float, due: bool) -> None:
    assert silence(0, 4, 8, 12).is_longer_than(timeout_s) is due


class Server:
    """Its probe: good answers while `good`, hanging while `open` is not set."""

    def __init__(self) -> None:
        self.good, self.blamed = True, True
        self.open = threading.Event()
        self.open.set()
        self.begun = self.asked = 0
        self.told: list[bool] = []

    def probe(self) -> None:
        self.begun += 1
        assert self.open.wait(60)
        self.asked += 1
        if not self.good:
            raise NotReady("no")

    def watch(self, silence_s: float = 0) -> Watch:
        nowhere = Path("nowhere")
        service = Service("one", ("true",), nowhere, probe=self.probe, folder=nowhere, probe_every_s=0.001)
        told = self.told.append
        return Watch(service, silence_s, lambda: self.blamed, lambda silence: told(bool(silence)), timeout_s=0.001)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


def test_silence_and_its_end_are_told_once() -> None:
    server = Server()

    async def watched() -> None:
        watching = asyncio.create_task(server.watch().run())
        server.good = False
        await until(lambda: server.told == [True])
        server.good = True
        await until(lambda: server.told == [True, False])
        watching.cancel()

    asyncio.run(watched())


def test_probes_that_hang_do_not_pile_up() -> None:
    server = Server()
    server.open.clear()

    async def watched() -> None:
        watch = server.watch()
        watching = asyncio.create_task(watch.run())
        await until(lambda: watch.silence and watch.silence.probes > 5)
        assert (server.begun, server.told) == (1, [True])
        server.open.set()
        await until(lambda: server.told == [True, False])
        watching.cancel()

    asyncio.run(watched())


def test_bad_answer_that_may_be_anothers_fault_does_not_count() -> None:
    server = Server()
    server.good = server.blamed = False

    async def watched() -> None:
        watch = server.watch(silence_s=0.001)
        watching = asyncio.create_task(watch.run())
        await until(lambda: server.asked > 5)
        assert watch.silence is None
        server.blamed = True
        assert (await watching).answer == "no"

    asyncio.run(watched())


def test_restart_is_due_when_a_probe_is_broken_by_itself() -> None:
    server = Server()
    server.open = None  # type: ignore[assignment] # a defect
    assert "AttributeError" in asyncio.run(server.watch(silence_s=0.001).run()).answer
