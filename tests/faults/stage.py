"""The real stack of a whole series of rounds: looked at, and struck."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from penstock.airflow import Airflow
from penstock.config import Settings
from penstock.errors import PenstockError
from penstock.launcher import control
from penstock.launcher.state import Phase
from penstock.pipelines.contract import Pipeline
from penstock.servers import jars
from penstock.servers.secrets import with_credentials
from penstock.users import USERS
from rig.stacks import processes_of, settings_in
from tests.faults import seams
from tests.faults.check import Topic
from tests.faults.members import MEMBERS
from tests.waiting import never

UP_TIMEOUT_S = 900


class Stage:
    """The running stack, and its parts by name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pipeline: Pipeline = USERS
        """Of the DAG's runs."""
        self.topic, self.members = Topic(USERS), Topic(MEMBERS)

    def state(self) -> control.StackState:
        return control.status(self.settings, memory=False)

    def pids(self, names: Iterable[str] = ()) -> dict[str, int | None]:
        """Service -> its main process; of all by default."""
        wanted = set(names)
        return {one.name: one.pid for one in self.state().services if not wanted or one.name in wanted}

    def is_well(self) -> bool:
        """Every service is ready and watched, and the watch guarded."""
        state = self.state()
        return bool(state.supervisor_pid and state.watchdog_pid) and state.ready

    def family(self, name: str) -> list[psutil.Process]:
        """What descends from a service's main process."""
        pid = self.pids([name])[name]
        return psutil.Process(pid).children(recursive=True) if pid else []

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


@contextmanager
def staged(home: Path) -> Iterator[Stage]:
    """A stack of its own, with the DAG ready to run; stopped at the end, when nothing of it may be left."""
    # The supervisor finds the declaration of the services there.
    os.environ["PYTHONPATH"] = str(seams.ROOT)
    pipelines = ("penstock.users:USERS", "tests.faults.members:MEMBERS")
    settings = settings_in(home).model_copy(update={"pipelines": pipelines})
    stage = Stage(settings)
    try:
        jars.fetch(settings, lambda _: None)
        control.up(settings, seams.stack(settings), reference=seams.REFERENCE, timeout_s=UP_TIMEOUT_S)
        with stage.airflow() as airflow:
            airflow.wait_until_parsed(stage.pipeline.schedule.dag_id, 120)
            airflow.unpause(stage.pipeline.schedule.dag_id)
        yield stage
    finally:
        control.down(settings)
        left = processes_of(home)
        if left:
            raise PenstockError(f"processes are left: {left}")


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
    """SIGSTOP, and SIGCONT after a while."""
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
