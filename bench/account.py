"""The deep account of a whole topic, by Python alone and with its bulk joined on Spark: both must say the same."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from bench import numbers
from bench.dataset import Dataset
from bench.place import Place
from penstock.config import Settings, child_environment

WAYS: Mapping[str, tuple[str, ...]] = {"python": (), "on-spark": ("--on-spark",)}
MISSING = 1_000
"""One row of so many is removed, so that something is left to be found."""
_LOOK_S = 0.2
_never = threading.Event()


def rounds(place: Place, dataset: Dataset, count: int) -> dict[str, list[dict[str, Any]]]:
    """Both ways in turn, over a topic of which the table has all rows but some."""
    _table(place, dataset)
    outcomes: dict[str, list[dict[str, Any]]] = {}
    for label, name, _ in numbers.turns(list(WAYS), count):
        outcome = _accounted(place, dataset, place.runs / f"{label}-{name}", WAYS[name])
        print(f"{label:8} {name:9} {outcome}", flush=True)
        outcomes.setdefault(name, []).append(outcome)
    return outcomes


def _table(place: Place, dataset: Dataset) -> None:
    place.empty_table()
    command = (sys.executable, "-m", "penstock", "rebuild", "--from-beginning")
    subprocess.run(command, env=_environment(place.settings), check=True, stdin=subprocess.DEVNULL)
    [key] = place.pipeline.keys.names
    kind = place.pipeline.key_columns[0].kind
    read = kind.from_text or str
    with dataset.json_lines.open(encoding="utf-8") as lines:
        gone = ((read(json.loads(line)[key]),) for number, line in enumerate(lines) if number % MISSING == 0)
        place.store.execute_each(f"DELETE FROM {place.table} WHERE {key} = ?", gone)  # noqa: S608 - names of the declaration


def _accounted(place: Place, dataset: Dataset, folder: Path, options: tuple[str, ...]) -> dict[str, Any]:
    folder.mkdir(parents=True)
    command = (sys.executable, "-m", "penstock", "reconcile", "--deep", "--json", *options)
    began_s = time.monotonic()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            command, env=_environment(place.settings), stdout=out, stderr=err, stdin=subprocess.DEVNULL
        )
        peak_mib = _peak_mib(process)
    seconds = time.monotonic() - began_s
    return {
        "wrong": _wrong(process.returncode, folder, dataset),
        "seconds": round(seconds, 1),
        "rate": round(dataset.records / seconds),
        **peak_mib,
    }


def _wrong(code: int, folder: Path, dataset: Dataset) -> str:
    """What the account should say is known: whose rows were removed is not stored, all others are."""
    text = (folder / "out").read_text("utf-8")
    missing = -(-dataset.records // MISSING)
    wanted = {"acknowledged": dataset.records, "stored": dataset.records - missing, "in_flight": missing}
    said = json.loads(text) if code == 0 else {}
    found = {name: said.get(name) for name in wanted}
    return "" if found == wanted else f"exit code {code}, {text}{(folder / 'err').read_text('utf-8')}"


def _peak_mib(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """The largest resident memory of the command and of the JVM that it starts, until it ends."""
    command, peak = psutil.Process(process.pid), {"python_mib": 0, "java_mib": 0}
    while process.poll() is None:
        for role, size in _sizes(command):
            peak[role] = max(peak[role], size)
        _never.wait(_LOOK_S)
    return peak


def _sizes(command: psutil.Process) -> Iterator[tuple[str, int]]:
    try:
        yield "python_mib", command.memory_info().rss // 2**20
        yield "java_mib", sum(child.memory_info().rss for child in command.children(recursive=True)) // 2**20
    except psutil.NoSuchProcess:
        return


def _environment(settings: Settings) -> dict[str, str]:
    return child_environment(settings.environment())
