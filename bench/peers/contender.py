"""What takes part in a drain: how it is started, and what must stand in the table after it."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.dataset import Dataset
from bench.place import Place
from penstock.config import child_environment

STOP_TIMEOUT_S = 60


@dataclass(frozen=True)
class Command:
    """A process to start; `environment` is added to what every process has."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """One way into the table. `absent` says why it cannot take part; then nothing else of it is used."""

    name: str
    what: str
    version: str
    heap: str
    command: Callable[[Place, Dataset, Path], Command]
    """The last argument is a new folder for whatever it writes."""
    own_keys: bool = False
    """It makes up keys and takes only the values from the data set."""
    absent: str = ""


@contextmanager
def running(command: Command, place: Place, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, with its output in `folder`/log; stopped with all that it started, executors included."""
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(
            command.arguments,
            env=child_environment(command.environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        family = [psutil.Process(process.pid)]
        try:
            yield process
        finally:
            family += family[0].children(recursive=True) if process.poll() is None else []
            if worker := place.processes().get("spark-worker"):
                family += worker.children(recursive=True)
            _stop(process, family)


def _stop(process: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
    """An executor ends by itself when its driver has gone."""
    if process.poll() is None:
        process.terminate()
    _, left = psutil.wait_procs(family, STOP_TIMEOUT_S)
    for one in left:
        one.kill()
    psutil.wait_procs(left, STOP_TIMEOUT_S)
    process.wait(STOP_TIMEOUT_S)
