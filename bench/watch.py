"""What a contender does, seen from outside: rows by time, processor time and memory of each process."""

import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psutil

from bench.place import Place

LOOK_S = 0.1
QUIET_S = 2.0
"""A drain is over when all rows were written and for so long no further one."""
_NO_ROW_TIMEOUT_S = 300.0
_never = threading.Event()


@dataclass
class Usage:
    """Processor seconds by role since the beginning, and the largest resident memory seen."""

    cpu_s: dict[str, float] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)


@dataclass
class Seen:
    """One run: `curve` has (seconds since the contender's process began, rows written) at each change."""

    rows: int
    curve: list[tuple[float, int]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    exit_code: int | None = None

    @property
    def complete(self) -> bool:
        return bool(self.curve) and self.curve[-1][1] >= self.rows

    @property
    def total_s(self) -> float:
        """From the start of the process to the last row."""
        return self.curve[-1][0]

    @property
    def drain_s(self) -> float:
        """From the first rows to the last one."""
        return self.curve[-1][0] - self.curve[0][0]

    @property
    def rate(self) -> float:
        """Rows a second after the first ones are in."""
        return (self.curve[-1][1] - self.curve[0][1]) / max(self.drain_s, LOOK_S)

    @property
    def warm_rate(self) -> float:
        """The same over the second half of the rows."""
        half = next(point for point in self.curve if point[1] >= self.rows / 2)
        last = self.curve[-1]
        return (last[1] - half[1]) / max(last[0] - half[0], LOOK_S)


class Meter:
    """Adds up processes by role. A process that ended keeps what it had at the last look."""

    def __init__(self, place: Place, client: psutil.Process) -> None:
        self._servers = place.processes()
        self._client = client
        self._cpu: dict[tuple[str, int], float] = {}
        self._peak: dict[tuple[str, int], float] = {}
        self._before = {(role, one.pid): _cpu_s(one) for role, one in self._processes()}

    def look(self) -> Usage:
        for role, process in self._processes():
            try:
                self._cpu[role, process.pid] = _cpu_s(process)
                memory = process.memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                continue
            self._peak[role, process.pid] = max(memory, self._peak.get((role, process.pid), 0))
        return Usage(self._cpu_by_role(), _by_role(self._peak))

    def _cpu_by_role(self) -> dict[str, float]:
        spent = {key: cpu_s - self._before.get(key, 0) for key, cpu_s in self._cpu.items()}
        # The client's own start is its expense.
        return _by_role({key: self._cpu[key] if key[0] == "client" else cpu_s for key, cpu_s in spent.items()})

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        for name, process in self._servers.items():
            yield name, process
            if name == "spark-worker":
                yield from (("executor", child) for child in _children(process))
        yield "client", self._client
        yield from (("client", child) for child in _children(self._client))


def watch(place: Place, process: subprocess.Popen[bytes], before: int, rows: int, timeout_s: float) -> Seen:
    """Follows a run that began just now until it is over: all rows are there and it is quiet, or the process ended, or
    nothing happens any more, or `timeout_s` is over. `before` is what `Place.writes` said at the beginning.
    """
    seen, began_s = Seen(rows), time.monotonic()
    meter = Meter(place, psutil.Process(process.pid))
    while True:
        seen.exit_code = process.poll()
        written, now_s = place.writes() - before, time.monotonic() - began_s
        usage = meter.look()
        last = seen.curve[-1] if seen.curve else (0.0, 0)
        if written > last[1]:
            seen.curve.append((now_s, written))
            seen.usage = usage
        elif _over(seen, now_s - last[0]) or now_s > timeout_s:
            return seen
        _never.wait(LOOK_S)


def _over(seen: Seen, quiet_s: float) -> bool:
    if seen.exit_code is not None or quiet_s > _NO_ROW_TIMEOUT_S:
        return True
    return seen.complete and quiet_s > QUIET_S


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return times.user + times.system


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _by_role(values: Mapping[tuple[str, int], float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for (role, _), value in values.items():
        found[role] = found.get(role, 0) + value
    return found
