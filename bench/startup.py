"""What the stack costs to start and to keep: seconds of a warm `up`, seconds to the first row, memory, sizes.

    scripts/bench startup [--rounds 3], or .venv/bin/python -m bench.startup [--rounds 3] [--idle-s 60]

Uses a home and ports of its own, beside whatever runs; prints a Markdown table of medians (and ranges).
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from penstock.audit import ledger
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.ingest import run_ingest
from penstock.launcher import control
from penstock.pipelines.project import DEFAULT, load_pipeline
from penstock.servers import jars
from penstock.servers.jars.locked import jars_of
from penstock.servers.stack import STACK, stack
from penstock.source import Interval
from rig.stacks import settings_in

STARTED_ALONE = ("cassandra", "kafka", "spark-worker", "airflow-api-server")
FIRST_ROW_TIMEOUT_S = 180
_LOOK_S = 0.05


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, on the wall's clock."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def up(settings: Settings, *names: str) -> None:
    control.up(settings, stack(settings, names), reference=STACK)


def first_row(settings: Settings) -> tuple[float, float]:
    """Seconds from nothing running until one record of a new run is in the table, and until its run has its account.

    The account comes with the end of an epoch, which is some seconds after the row.
    """
    pipeline, began = load_pipeline(DEFAULT), time.monotonic()
    up(settings)
    with Store(settings.cassandra) as store:
        rows = store.count(pipeline)
        report = run_ingest(settings, pipeline, f"first-row__{time.monotonic_ns()}", Interval(datetime.now(UTC)), 1)
        while store.count(pipeline) == rows:
            if time.monotonic() - began > FIRST_ROW_TIMEOUT_S:
                raise SystemExit(f"no row within {FIRST_ROW_TIMEOUT_S} s")
            time.sleep(_LOOK_S)
        row_s = time.monotonic() - began
    account = ledger.wait_until_settled(settings, pipeline, report.run, FIRST_ROW_TIMEOUT_S)
    if not account.balances(report.fetched):
        raise SystemExit(f"a run that lost a record scores nothing: {account.equation(report.fetched)}")
    return row_s, time.monotonic() - began


def make_archives(settings: Settings) -> None:
    """What the supervisor has made once nothing is waited for: a start is warm with it."""
    for command in dict.fromkeys(service.afterwards for service in stack(settings) if service.afterwards):
        subprocess.run(command, check=True)


def memory_gib(settings: Settings, idle_s: float) -> float:
    """PSS of all services and the supervisor after `idle_s` seconds without work."""
    time.sleep(idle_s)
    state = control.status(settings)
    services = sum(service.memory_pss_bytes or 0 for service in state.services)
    return (services + (state.supervisor_memory_pss_bytes or 0)) / 2**30


def row(what: str, values: Sequence[float], unit: str) -> str:
    middle = f"{statistics.median(values):.1f} {unit}"
    return f"| {what} | {middle} | {min(values):.1f}–{max(values):.1f} |"


def measure(settings: Settings, rounds: int, idle_s: float) -> list[str]:
    """The rows of the table; rounds are interleaved, each with a stop in between."""
    up(settings)
    make_archives(settings)
    control.down(settings)
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in STARTED_ALONE:
            times.setdefault(f"warm start of {name} alone, with what it needs", []).append(
                seconds(partial(up, settings, name))
            )
            control.down(settings)
        times.setdefault("warm `up`, all ready", []).append(seconds(lambda: up(settings)))
        control.down(settings)
        row_s, account_s = first_row(settings)
        times.setdefault("warm `up` to the first row", []).append(row_s)
        times.setdefault("warm `up` to the account of its run", []).append(account_s)
        idle = memory_gib(settings, idle_s)
        times.setdefault("memory, idle", []).append(idle)
        times.setdefault("`down`", []).append(seconds(lambda: control.down(settings)))
    return [row(what, values, "GiB" if what.startswith("memory") else "s") for what, values in times.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-s", type=float, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(Path(folder) / "home")
        jars.fetch(settings, lambda _: None)
        try:
            rows = measure(settings, options.rounds, options.idle_s)
        finally:
            control.down(settings)
    locked = jars_of(jars.needed(settings))
    print("| what | median | range |\n|---|---|---|")
    print("\n".join(rows))
    print(f"| jars to download | {sum(jar.size_bytes for jar in locked) / 1e6:.0f} MB | {len(locked)} files |")


if __name__ == "__main__":
    main()
