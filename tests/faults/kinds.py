"""The faults, one function each. `strike` does it and returns how to see that it is corrected."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import psutil

from penstock.stream import BEFORE_COMMIT, BEFORE_COUNTS, BEFORE_ROWS
from tests.disks import filled
from tests.faults import network, oddities, seams
from tests.faults.network import Link
from tests.faults.stage import DISK, NETWORK, ODD, Stage, kill, pause, paused, ready_again
from tests.waiting import until

Mended = Callable[[], bool]
Strike = Callable[[Stage, Random], Mended]

PAUSES_S = (3, 6, 20)
CUTS_S = (2, 5, 12)
TASK_S = 0.5
"""The task publishes for about twice as long."""
_OFTEN_ON_THE_WAY = 0.8


@dataclass(frozen=True)
class Fault:
    """One fault. With `dag` it strikes while the DAG's task publishes beside the load, and the run must succeed."""

    name: str
    kind: str
    """What it teaches about: a short series plays no two of one kind."""
    strike: Strike
    dag: bool = False
    needs: frozenset[str] = frozenset()
    """What it needs beside the stack: `stage.NETWORK` and others."""
    simple: bool = True
    """Whether it may be one of several at once."""
    long: bool = False
    """Whether it takes minutes, so that CI does not draw it."""


def killed(*kinds: str) -> Strike:
    """kill -9 of the main processes of these services; of those of one kind, of one that the seed draws."""

    def strike(stage: Stage, chance: Random) -> Mended:
        before = stage.pids([_one_of(stage, kind, chance) for kind in kinds])
        kill(before.values())
        return lambda: ready_again(stage, before)

    return strike


def stopped(kind: str) -> Strike:
    """SIGSTOP for a while."""

    def strike(stage: Stage, chance: Random) -> Mended:
        name, seconds = _one_of(stage, kind, chance), chance.choice(PAUSES_S)
        stage.notes.append(f"{name} for {seconds} s")
        # Another fault may have ended it a moment ago.
        paused(until(lambda: stage.pids([name])[name], f"{name} does not run"), seconds)
        return stage.is_well

    return strike


def _one_of(stage: Stage, kind: str, chance: Random) -> str:
    nodes = stage.nodes(kind)
    return nodes[0] if len(nodes) == 1 else chance.choice(nodes)


def driver_killed_before(point: str) -> Strike:
    """kill -9 of the stream's driver by itself, at a point of the next epoch."""

    def strike(stage: Stage, _: Random) -> Mended:
        before = stage.pids(["stream"])
        order = seams.stop_at(stage.settings)
        order.write_text(point)
        until(lambda: not order.exists(), f"the stream did not come to {point}")
        return lambda: ready_again(stage, before)

    return strike


def executor_killed(stage: Stage, chance: Random) -> Mended:
    """kill -9 of an executor: a child of a worker that no service is."""
    before = _executors(stage)
    kill([chance.choice(sorted(before))] if before else [])
    return lambda: bool(set(_executors(stage)) - set(before)) and stage.is_well()


def _executors(stage: Stage) -> list[int]:
    workers = stage.nodes("spark-worker")
    return [one.pid for worker in workers for one in stage.family(worker) if _is_executor(one)]


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


def _drawn_link(stage: Stage, chance: Random) -> Link:
    """Of the connections of this moment one, mostly of those by which records travel."""
    assert stage.parts, "the faults of the network need one of their own"
    parts = stage.parts
    links = until(lambda: network.look(parts).links, "no two parts are connected")
    way = [
        link for link in links if not any("airflow" in end or "postgres" in end for end in (link.client, link.server))
    ]
    return chance.choice(way if way and chance.random() < _OFTEN_ON_THE_WAY else links)


def troubled(*troubles: network.Trouble) -> Strike:
    """One of these between two parts that are connected, for a while."""

    def strike(stage: Stage, chance: Random) -> Mended:
        assert stage.parts, "the faults of the network need one of their own"
        link, trouble, seconds = _drawn_link(stage, chance), chance.choice(troubles), chance.choice(CUTS_S)
        stage.notes.append(f"{link} {trouble} for {seconds} s")
        with network.troubled(stage.parts, link, trouble):
            pause(seconds)
        return stage.is_well

    return strike


def clock_off(stage: Stage, chance: Random) -> Mended:
    """The wall clock of one server jumps by hours, and after a while back.

    Never that of a broker to an earlier hour: Kafka refuses messages that seem to be of the future, as it should.
    """
    name = chance.choice([one for one in stage.pids() if seams.can_be_odd(one)])
    hours = chance.choice((2, 5, 11) if name.startswith("kafka") else (-11, -3, 2, 11))
    stage.notes.append(f"{name} by {hours:+} h")
    with oddities.odd(seams.odd_file(stage.settings, name), ahead_s=3_600 * hours):
        pause(chance.uniform(2, 8))
    return stage.is_well


def disk_slow(stage: Stage, chance: Random) -> Mended:
    """Each write of one server to a file, and each sync of it, takes much longer for a while."""
    name = _one_of(stage, chance.choice(("kafka", "cassandra")), chance)
    slower_ms, seconds = chance.choice((10, 50, 200)), chance.choice(CUTS_S)
    stage.notes.append(f"{name} by {slower_ms} ms a write for {seconds} s")
    with oddities.odd(seams.odd_file(stage.settings, name), slower_ms=slower_ms):
        pause(seconds)
    return stage.is_well


def disk_full(name: str) -> Strike:
    """No room for the data of a server, for a while."""

    def strike(stage: Stage, chance: Random) -> Mended:
        seconds = chance.choice(CUTS_S)
        stage.notes.append(f"for {seconds} s")
        with filled(stage.settings.home / "data" / name, but_mib=0):
            pause(seconds)
        return stage.is_well

    return strike


SINGLE = (
    Fault("ingest task", "airflow", task_killed, dag=True, simple=False),
    Fault("broker", "kafka", killed("kafka"), dag=True),
    Fault("driver", "spark", killed("stream")),
    Fault("driver before the rows", "epoch", driver_killed_before(BEFORE_ROWS)),
    Fault("driver between letters and counts", "epoch", driver_killed_before(BEFORE_COUNTS)),
    Fault("driver before the commit", "epoch", driver_killed_before(BEFORE_COMMIT)),
    Fault("executor", "spark", executor_killed),
    Fault("worker", "spark", killed("spark-worker")),
    Fault("master", "spark", killed("spark-master")),
    Fault("cassandra", "cassandra", killed("cassandra")),
    Fault("scheduler", "airflow", killed("airflow-scheduler"), dag=True, simple=False),
    Fault("api server", "airflow", killed("airflow-api-server"), dag=True, simple=False),
    Fault("dag processor", "airflow", killed("airflow-dag-processor"), dag=True, simple=False),
    Fault("postgres", "airflow", killed("postgres"), dag=True),
    Fault("launcher", "everything", launcher_killed),
    Fault("broker stopped", "kafka", stopped("kafka")),
    Fault("cassandra stopped", "cassandra", stopped("cassandra")),
    Fault("everything", "everything", everything_killed, dag=True, simple=False),
    Fault("network cut", "network", troubled(network.DROPPED, network.RESET), needs=frozenset({NETWORK})),
    Fault(
        "network slow",
        "network",
        troubled(network.LOSSY, network.slowed("256kbit"), network.slowed("2mbit")),
        needs=frozenset({NETWORK}),
    ),
    Fault("clock", "clock", clock_off, needs=frozenset({ODD})),
    Fault("disk slow", "disk", disk_slow, needs=frozenset({ODD})),
    Fault("broker's disk full", "disk", disk_full("kafka"), needs=frozenset({DISK})),
    Fault("cassandra's disk full", "disk", disk_full("cassandra"), needs=frozenset({DISK})),
)
