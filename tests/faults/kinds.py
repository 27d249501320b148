"""The faults, one function each. `strike` does it and returns how to see that it is corrected."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import psutil

from penstock.stream import BEFORE_COMMIT, BEFORE_COUNTS, BEFORE_ROWS
from tests.faults import seams
from tests.faults.stage import Stage, kill, pause, paused, ready_again
from tests.waiting import until

Mended = Callable[[], bool]

PAUSE_S = 20
TASK_S = 1
"""The task publishes for about twice as long."""


@dataclass(frozen=True)
class Fault:
    """One fault. With `dag` it strikes while the DAG's task publishes beside the load, and the run must succeed."""

    name: str
    kind: str
    """What it teaches about: a short series plays no two of one kind."""
    strike: Callable[[Stage, Random], Mended]
    dag: bool = False


def killed(*services: str) -> Callable[[Stage, Random], Mended]:
    """kill -9 of the main processes of these services."""

    def strike(stage: Stage, _: Random) -> Mended:
        before = stage.pids(services)
        kill(before.values())
        return lambda: ready_again(stage, before)

    return strike


def stopped(service: str) -> Callable[[Stage, Random], Mended]:
    """SIGSTOP for a while."""

    def strike(stage: Stage, _: Random) -> Mended:
        paused(stage.pids([service])[service], PAUSE_S)
        return stage.is_well

    return strike


def driver_killed_before(point: str) -> Callable[[Stage, Random], Mended]:
    """kill -9 of the stream's driver by itself, at a point of the next epoch."""

    def strike(stage: Stage, _: Random) -> Mended:
        before = stage.pids(["stream"])
        order = seams.stop_at(stage.settings)
        order.write_text(point)
        until(lambda: not order.exists(), f"the stream did not come to {point}")
        return lambda: ready_again(stage, before)

    return strike


def executor_killed(stage: Stage, _: Random) -> Mended:
    """kill -9 of the executor: a child of the worker that no service is."""
    before = _executors(stage)
    kill(before)
    return lambda: bool(set(_executors(stage)) - set(before)) and stage.is_well()


def _executors(stage: Stage) -> list[int]:
    return [one.pid for one in stage.family("spark-worker") if _is_executor(one)]


def _is_executor(process: psutil.Process) -> bool:
    try:
        return any("CoarseGrainedExecutorBackend" in part for part in process.cmdline())
    except psutil.Error:
        return False


def task_killed(stage: Stage, chance: Random) -> Mended:
    """kill -9 of the process that runs the DAG's task, while it publishes or just before."""
    victims: list[int] = []

    def found() -> bool:
        victims.extend(one.pid for one in stage.family("airflow-scheduler") if _speaks_with(one, stage))
        return bool(victims)

    until(found, "no process of the task speaks with Kafka", every_s=0.02)
    pause(chance.uniform(0, TASK_S))
    kill(victims)
    return stage.is_well


def _speaks_with(process: psutil.Process, stage: Stage) -> bool:
    try:
        connections = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(one.raddr and one.raddr.port == stage.settings.ports.kafka for one in connections)


def launcher_killed(stage: Stage, _: Random) -> Mended:
    """kill -9 of the supervisor."""
    before = stage.state().supervisor_pid
    kill([before])
    return lambda: stage.state().supervisor_pid not in (None, before) and stage.is_well()


def everything_killed(stage: Stage, _: Random) -> Mended:
    """kill -9 of the supervisor and of every server with all its processes, at once."""
    before = stage.pids()
    kill(stage.everything())
    return lambda: ready_again(stage, before)


FAULTS = (
    Fault("ingest task", "airflow", task_killed, dag=True),
    Fault("broker", "kafka", killed("kafka"), dag=True),
    Fault("driver", "spark", killed("stream")),
    Fault("driver before the rows", "epoch", driver_killed_before(BEFORE_ROWS)),
    Fault("driver between letters and counts", "epoch", driver_killed_before(BEFORE_COUNTS)),
    Fault("driver before the commit", "epoch", driver_killed_before(BEFORE_COMMIT)),
    Fault("executor", "spark", executor_killed),
    Fault("worker", "spark", killed("spark-worker")),
    Fault("cassandra", "cassandra", killed("cassandra")),
    Fault("scheduler", "airflow", killed("airflow-scheduler"), dag=True),
    Fault("api server", "airflow", killed("airflow-api-server"), dag=True),
    Fault("dag processor", "airflow", killed("airflow-dag-processor"), dag=True),
    Fault("postgres", "airflow", killed("postgres"), dag=True),
    Fault("launcher", "everything", launcher_killed),
    Fault("broker stopped", "kafka", stopped("kafka")),
    Fault("cassandra stopped", "cassandra", stopped("cassandra")),
    Fault("everything", "everything", everything_killed, dag=True),
)


def drawn(seed: int, count: int = 4) -> tuple[Fault, ...]:
    """Faults of as many kinds, one of each."""
    chance = Random(seed)
    kinds = chance.sample(list(dict.fromkeys(fault.kind for fault in FAULTS)), count)
    return tuple(chance.choice([fault for fault in FAULTS if fault.kind == kind]) for kind in kinds)
