"""Faults that are made of others: two at once, a second one while the first is recovered from, each server in turn."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

import httpx

from penstock.config import LOOPBACK
from penstock.launcher.restart import restart
from penstock.servers.console_token import token
from rig.stacks import penstock
from tests.faults.kinds import SINGLE, Fault, Mended
from tests.faults.stage import Stage, lacking, pause

SIMPLE = tuple(fault for fault in SINGLE if fault.simple)
_WATCHED = ("broker", "driver", "cassandra", "executor")
_ANSWERS = (httpx.codes.OK, httpx.codes.BAD_GATEWAY)
"""The latter where a page says which server is away."""
_PAGES = ("/", "/services", "/metrics", "/api/overview", "/p/members", "/doctor")


def _two(stage: Stage, chance: Random) -> Sequence[Fault]:
    """Two of different kinds that this stack is equipped for."""
    first = chance.choice(possible(stage, SIMPLE))
    second = chance.choice([one for one in possible(stage, SIMPLE) if one.kind != first.kind])
    stage.notes.append(f"{first.name} + {second.name}")
    return first, second


def possible(stage: Stage, faults: Sequence[Fault]) -> Sequence[Fault]:
    """Those of the faults for which the stack has what they need."""
    return [one for one in faults if one.needs <= stage.equipment]


def at_once(stage: Stage, chance: Random) -> Mended:
    """Two faults in the same moment."""
    faults = _two(stage, chance)
    seeds = [chance.random() for _ in faults]
    with ThreadPoolExecutor(len(faults)) as pool:
        striking = [pool.submit(one.strike, stage, Random(seed)) for one, seed in zip(faults, seeds, strict=True)]
    corrected = [one.result() for one in striking]
    return lambda: all(done() for done in corrected)


def while_recovering(stage: Stage, chance: Random) -> Mended:
    """The second one strikes while the first one is not yet recovered from, or shortly after."""
    first, second = _two(stage, chance)
    corrected = first.strike(stage, chance)
    pause(chance.uniform(0.2, 4))
    again = second.strike(stage, chance)
    return lambda: corrected() and again()


def each_in_turn(stage: Stage, _: Random) -> Mended:
    """Every server is ended gently and started anew, one after the other: a rolling restart."""
    for name in stage.pids():
        restart(stage.settings, [name])
    return stage.is_well


class Onlooker:
    """Asks the console for its pages and has the doctor examine the stack, again and again."""

    def __init__(self, stage: Stage) -> None:
        self._settings = stage.settings
        self._stop = threading.Event()
        self._asking = [threading.Thread(target=each, daemon=True) for each in (self._console, self._doctor)]
        self.wrong: list[str] = []
        """What no onlooker may see: a page that fails, a traceback."""

    def start(self) -> None:
        for each in self._asking:
            each.start()

    def end(self) -> None:
        self._stop.set()
        for each in self._asking:
            each.join()

    def _console(self) -> None:
        address, who = f"http://{LOOPBACK}:{self._settings.ports.console}", token(self._settings)
        with httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {who}"}, timeout=120, follow_redirects=True
        ) as client:
            while not self._stop.is_set():
                for page in _PAGES:
                    self._look(client, page)

    def _look(self, client: httpx.Client, page: str) -> None:
        try:
            answer = client.get(page)
        except httpx.TransportError as error:
            self.wrong.append(f"{page}: {error!r}")
            return
        if answer.status_code not in _ANSWERS:
            self.wrong.append(f"{page}: {answer.status_code} {answer.text[:200]}")

    def _doctor(self) -> None:
        while not self._stop.is_set():
            done = penstock(self._settings, "doctor", "--json")
            if done.returncode not in (0, 1) or "Traceback" in done.stderr:
                self.wrong.append(f"doctor: exit code {done.returncode}: {done.stderr[-300:]}")


def looked_at(stage: Stage, chance: Random) -> Mended:
    """A fault while the console and the doctor look on: both have to answer, whatever they say."""
    fault = chance.choice([one for one in SIMPLE if one.name in _WATCHED])
    stage.notes.append(fault.name)
    onlooker = Onlooker(stage)
    onlooker.start()
    try:
        corrected = fault.strike(stage, chance)
    except BaseException:
        onlooker.end()
        raise

    def both() -> bool:
        if not corrected():
            return False
        onlooker.end()
        assert not onlooker.wrong, "; ".join(onlooker.wrong[:3])
        return True

    return both


FAULTS = (
    *SINGLE,
    Fault("two at once", "several", at_once, simple=False),
    Fault("a second one meanwhile", "several", while_recovering, simple=False),
    Fault("each restarted in turn", "several", each_in_turn, simple=False, long=True),
    Fault("console and doctor look on", "several", looked_at, simple=False),
)


def playable() -> tuple[Fault, ...]:
    """The faults for which this machine has what they need."""
    return tuple(fault for fault in FAULTS if not lacking(fault.needs))


def drawn(seed: int, faults: Sequence[Fault], count: int = 4) -> tuple[Fault, ...]:
    """Faults of as many kinds, one of each; none that takes long."""
    chance, short = Random(seed), [fault for fault in faults if not fault.long]
    kinds = chance.sample(list(dict.fromkeys(fault.kind for fault in short)), count)
    return tuple(chance.choice([fault for fault in short if fault.kind == kind]) for kind in kinds)
