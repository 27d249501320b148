"""The real stack of a whole series of trials: looked at, and struck."""

import os
import shutil
import signal
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from penstock.airflow import Airflow
from penstock.cli.support.admission import STORES, admit
from penstock.config import Settings, StackSettings
from penstock.errors import PenstockError
from penstock.launcher import control
from penstock.launcher.state import Phase
from penstock.pipelines.contract import Pipeline
from penstock.servers import authority, jars
from penstock.servers.access import as_principal
from penstock.servers.principals import Principal
from penstock.servers.secrets import with_credentials
from penstock.servers.stack import stack as real_stack
from penstock.users import USERS
from rig.stacks import processes_of, settings_in
from tests.disks import small_disk
from tests.faults import isolation, oddities, seams
from tests.faults.check import Topic
from tests.faults.isolation import Parts
from tests.faults.members import MEMBERS
from tests.waiting import never

UP_TIMEOUT_S = 900
NETWORK, ODD, DISK = "network", "odd", "disk"
"""What some faults need beside the stack."""
DISKS = ("kafka", "cassandra")
_DISK_MIB = 1_024
"""Of memory, as much of it as is written."""


class Stage:
    """The running stack, and its parts by name."""

    def __init__(self, settings: Settings, equipment: Collection[str] = (), parts: Parts | None = None) -> None:
        self.settings, self.equipment, self.parts = settings, frozenset(equipment), parts
        self.pipeline: Pipeline = USERS
        """Of the DAG's runs."""
        self.topic, self.members = Topic(USERS), Topic(MEMBERS)
        self.notes: list[str] = []
        """What the faults of this trial decided by its seed."""
        self.spoiled = False
        """Whether something was found, so that all data are to be kept."""

    @property
    def clients(self) -> Settings:
        """With what a client is let in that publishes and reads."""
        return as_principal(self.settings, Principal.OPERATOR)

    def state(self) -> control.StackState:
        return control.status(self.settings, memory=False)

    def pids(self, names: Iterable[str] = ()) -> dict[str, int | None]:
        """Service -> its main process; of all by default."""
        wanted = set(names)
        return {one.name: one.pid for one in self.state().services if not wanted or one.name in wanted}

    def nodes(self, kind: str) -> list[str]:
        """The services of one kind: several in a cluster."""
        return sorted(one.name for one in self.state().services if one.name.rstrip("-23") == kind)

    def is_well(self) -> bool:
        """Every service is ready and watched, and the watch guarded."""
        state = self.state()
        return bool(state.supervisor_pid and state.watchdog_pid) and state.ready

    def family(self, name: str) -> list[psutil.Process]:
        """What descends from a service's main process."""
        pid = self.pids([name])[name]
        try:
            return psutil.Process(pid).children(recursive=True) if pid else []
        except psutil.NoSuchProcess:
            return []

    def everything(self) -> list[int]:
        """All processes of the stack but for the watchdog."""
        watchdog = self.state().watchdog_pid
        ours = (psutil.Process(), *psutil.Process().parents())
        found = [one for one in processes_of(self.settings.home) if one not in ours]
        return [one.pid for one in found if one.pid != watchdog]

    @contextmanager
    def airflow(self) -> Iterator[Airflow]:
        with Airflow(with_credentials(self.settings), patience_s=180) as airflow:
            yield airflow


def lacking(needs: Iterable[str]) -> str:
    """Why these cannot be had on this machine; empty where they can."""
    reasons = {NETWORK: isolation.lacking, DISK: isolation.lacking, ODD: oddities.lacking}
    return "; ".join(f"{need}: {why}" for need in sorted(set(needs)) if (why := reasons[need]()))


@contextmanager
def staged(home: Path, stack: StackSettings | None = None, needs: Collection[str] = ()) -> Iterator[Stage]:
    """A stack of its own, with the DAG ready to run; stopped at the end, when nothing of it may be left."""
    # The supervisor finds the declaration of the services there.
    os.environ["PYTHONPATH"] = str(seams.ROOT)
    pipelines = ("penstock.users:USERS", "tests.faults.members:MEMBERS")
    settings = settings_in(home, stack).model_copy(update={"pipelines": pipelines})
    with ExitStack() as ending:
        stage = _equipped(settings, needs, ending)
        ending.callback(_down, settings)
        _up(settings)
        with stage.airflow() as airflow:
            airflow.wait_until_parsed(stage.pipeline.schedule.dag_id, 120)
            airflow.unpause(stage.pipeline.schedule.dag_id)
        yield stage


def _equipped(settings: Settings, needs: Collection[str], ending: ExitStack) -> Stage:
    folder, names = settings.home.parent, [service.name for service in real_stack(settings)]
    parts = Parts(names) if NETWORK in needs else None
    if parts:
        ending.callback(parts.close)
    library = oddities.build(folder) if ODD in needs else None
    for name in names if library else ():
        oddities.write(seams.odd_file(settings, name))
    seams.Equipment(str(parts.folder) if parts else "", str(library or "")).keep(settings)
    stage = Stage(settings, needs, parts)
    for name in DISKS if DISK in needs else ():
        place = settings.home / "data" / name
        ending.enter_context(small_disk(place, _DISK_MIB))
        ending.callback(_keep, stage, place)
    return stage


def _up(settings: Settings) -> None:
    """As `penstock up` does."""
    jars.fetch(settings, lambda _: None)
    services = seams.stack(settings)
    if settings.stack.secure:
        authority.certify(settings)
        stores = [service for service in services if service.name in STORES]
        control.up(settings, stores, reference=seams.REFERENCE, timeout_s=UP_TIMEOUT_S)
        admit(settings, STORES)
    control.up(settings, services, reference=seams.REFERENCE, timeout_s=UP_TIMEOUT_S)


def _down(settings: Settings) -> None:
    control.down(settings)
    left = processes_of(settings.home)
    if left:
        raise PenstockError(f"processes are left: {left}")


def _keep(stage: Stage, place: Path) -> None:
    """What stands on a small disk goes with it."""
    if stage.spoiled:
        shutil.copytree(place, place.with_name(f"{place.name}.kept"))


def kill(pids: Iterable[int | None]) -> None:
    """kill -9, one right after the other; what is gone already is gone."""
    for pid in pids:
        if pid is not None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def pause(seconds: float) -> None:
    """Lets time pass where time itself is the fault."""
    never.wait(seconds)


def paused(pid: int | None, seconds: float) -> None:
    """SIGSTOP, and SIGCONT after a while. One that another fault killed, before or meanwhile, needs none."""
    assert pid, "of no process"  # psutil would take this one
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.suspend()
        try:
            pause(seconds)
        finally:
            process.resume()


def ready_again(stage: Stage, before: dict[str, int | None]) -> bool:
    """These services run anew, and everything is well."""
    now = stage.state()
    services = {one.name: one for one in now.services}
    anew = all(
        services[name].pid not in (None, pid) and services[name].state is Phase.READY for name, pid in before.items()
    )
    return anew and stage.is_well()
