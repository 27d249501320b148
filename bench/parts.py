"""The parts of the benchmark: what each one sets up, runs and keeps."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from bench import absent, account, drain, ingest, latency, numbers, pipelines, security
from bench.dataset import Dataset, fill, halved, make
from bench.peers import install, others
from bench.peers.contender import Contender
from bench.peers.spark import ours, tutorial
from bench.place import Place, place
from penstock.config import Settings
from penstock.kafka import Broker

ROOT = Path(__file__).parents[1]
_MOST_PER_SECOND = 500
_LEAST_WARM_UP_S, _TRIAL_S = 60.0, 30.0
_PER_SECOND_OF_BOTH = 100
_NO_CODE = (":!bench/results", ":!docs", ":!*.md")


@dataclass(frozen=True)
class Options:
    """What was asked for; no `names` means all contenders."""

    records: Sequence[int]
    rounds: int = 3
    names: Sequence[str] = ()
    warm_up: Sequence[str] | None = None
    """Who runs once before it counts; None is everyone."""
    seconds: float = 180
    per_second: int = 0
    """0 lets the rate be found: what this machine carries with room to spare, and not more than `_MOST_PER_SECOND`."""


def drains(home: Path, cache: Path, options: Options, results: Path) -> None:
    """A backlog of each size, each in a home of its own."""
    for records in options.records:
        dataset = make(cache / "data", pipelines.USERS_CREATED, records)
        dataset.expected()
        with place(home.with_name(f"home-{records}")) as where:
            fill(where.settings, dataset)
            contenders = _contenders(where.settings, cache, options.names)
            entries = [drain.Entry(contender, dataset) for contender in contenders]
            found = drain.rounds(where, entries, options.rounds, options.warm_up)
            about = _about(where, options, contenders) | {"records": records, "value_bytes": dataset.mean_bytes()}
        _keep(results / f"drain-{records}.json", about, found.outcomes, found.absent)


def safety(home: Path, cache: Path, options: Options, results: Path) -> None:
    """Ours, with more and more malformed records in the backlog."""
    records = options.records[0]
    with place(home) as where:
        entries = []
        for percent in pipelines.MALFORMED_PERCENT:
            pipeline = pipelines.over(f"users_malformed_{percent}")
            dataset = Dataset(make(cache / "data", pipelines.USERS_CREATED, records).folder, pipeline, records)
            fill(where.settings, dataset, percent)
            entries.append(drain.Entry(ours(where.settings), dataset, percent, f"malformed-{percent}"))
        found = drain.rounds(where, entries, options.rounds, options.warm_up)
        about = _about(where, options, [ours(where.settings)]) | {"records": records}
    _keep(results / "safety.json", about, found.outcomes, found.absent)


def absents(home: Path, cache: Path, options: Options, results: Path) -> None:
    """Absent values kept and cleared: of records of which all fields have values, and of which half have."""
    records = options.records[0]
    whole = make(cache / "data", pipelines.USERS_CREATED, records)
    datasets = {"whole": whole, "half": halved(whole)}
    with place(home, services=("cassandra",)) as where:
        outcomes = absent.rounds(where, datasets, options.rounds)
        about = _about(where, options, []) | {"records": records, "value_bytes": whole.mean_bytes()}
    _keep(results / "absent.json", about, outcomes)


def accounts(home: Path, cache: Path, options: Options, results: Path) -> None:
    """The deep account of each number of records, both ways."""
    for records in options.records:
        dataset = make(cache / "data", pipelines.USERS_CREATED, records)
        with place(home.with_name(f"home-{records}"), services=("kafka", "cassandra")) as where:
            fill(where.settings, dataset)
            outcomes = account.rounds(where, dataset, options.rounds)
            about = _about(where, replace(options, warm_up=()), []) | {"records": records}
        _keep(results / f"account-{records}.json", about, outcomes)


def latencies(home: Path, cache: Path, options: Options, results: Path) -> None:
    """Ours against the tutorials' code, at a steady rate that the machine carries: found by a trial of each."""
    outcomes: dict[str, list[dict[str, Any]]] = {}
    with place(home) as where:
        with Broker(where.settings.kafka) as broker:
            broker.ensure_topics(pipelines.USERS_CREATED)
        both = (ours(where.settings, "latest"), tutorial(where.settings, "latest"))
        by_name = {one.name: one for one in both if not options.names or one.name in options.names}

        def run(label: str, name: str, load: latency.Load) -> dict[str, Any]:
            dataset = make(cache / "data", pipelines.USERS_CREATED, load.records)
            outcome = latency.latency(where, by_name[name], dataset, load, f"{label}-{name}")
            told = {key: figure for key, figure in outcome.items() if key != "curve"}
            print(f"{label:8} {name}: {load.per_second}/s: {told}", flush=True)
            return outcome

        warm_up_s = max(_LEAST_WARM_UP_S, options.seconds / 3)
        trial = latency.Load(_MOST_PER_SECOND, warm_up_s, _TRIAL_S)
        per_second = options.per_second or latency.carried(
            trial.per_second, [run("trial", name, trial) for name in by_name]
        )
        load = latency.Load(per_second, warm_up_s, options.seconds)
        for label, name, _ in numbers.turns(list(by_name), options.rounds):  # each run warms itself up
            # The chart shows the last round; the others' curves would only be kept.
            for earlier in outcomes.setdefault(name, []):
                earlier.pop("curve", None)
            outcomes[name].append(run(label, name, load))
        about = _about(where, options, list(by_name.values())) | {
            "per_second": load.per_second,
            "seconds": load.seconds,
        }
    _keep(results / "latency.json", about, outcomes)


def ingests(home: Path, cache: Path, options: Options, results: Path) -> None:
    """Ingest with and without the API, and Kafka's own tool, uncompressed and compressed as ours."""
    records = options.records[0]
    dataset = make(cache / "data", pipelines.USERS_CREATED, records)
    tool = install.kafka_tools(cache / "peers")
    outcomes: dict[str, list[dict[str, Any]]] = {}
    with place(home, "simulator") as where:
        where.store.ensure_table(where.pipeline)
        runs: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": lambda: ingest.ours(where, records),
            "ours-with-api": lambda: ingest.with_the_api(where, records),
        }
        if not tool.absent:
            runs["kafka-tool"] = lambda: ingest.kafka_tool(where, dataset, tool.path, "none")
            runs["kafka-tool-zstd"] = lambda: ingest.kafka_tool(where, dataset, tool.path, "zstd")
        # The broker too: its rate doubled from the first run to the third where only ours had run before.
        for label, name, counts in numbers.turns(list(runs), options.rounds, list(runs)):
            outcome = runs[name]()
            print(f"{label:8} {name}: {outcome['rate']:.0f} records/s", flush=True)
            if counts:
                outcomes.setdefault(name, []).append(outcome)
        about = _about(where, options, []) | {"records": records, "value_bytes": dataset.mean_bytes()}
    _keep(results / "ingest.json", about, outcomes, {"kafka-tool": tool.absent} if tool.absent else {})


def security_price(home: Path, cache: Path, options: Options, results: Path) -> None:
    """Ours in an open stack and in a secure one."""
    warm_up_s = max(_LEAST_WARM_UP_S, options.seconds / 3)
    load = latency.Load(options.per_second or _PER_SECOND_OF_BOTH, warm_up_s, options.seconds)
    backlog, steady = (make(cache / "data", pipelines.USERS_CREATED, n) for n in (options.records[0], load.records))
    outcomes: dict[str, list[dict[str, Any]]] = {}
    for kind, outcome in security.rounds(home, backlog, steady, load, options.rounds):
        outcomes.setdefault(kind, []).append(outcome)
    with place(home, services=("cassandra",)) as where:
        about = _about(where, replace(options, warm_up=()), [ours(where.settings)])
    told = {"records": backlog.records, "per_second": load.per_second, "seconds": load.seconds}
    _keep(results / "security.json", about | told, outcomes)


def startup(home: Path, cache: Path, options: Options, results: Path) -> None:
    """See `bench.startup`, which also runs by itself."""
    command = (sys.executable, "-m", "bench.startup", "--rounds", str(options.rounds))
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(table)
    results.mkdir(parents=True, exist_ok=True)
    (results / "startup.md").write_text(table, "utf-8")


def sizes(home: Path, cache: Path, options: Options, results: Path) -> None:
    """See `bench.sizes`, which also runs by itself."""
    subprocess.run((sys.executable, "-m", "bench.sizes"), check=True)


def peers(home: Path, cache: Path, options: Options, results: Path) -> None:
    """Installs the peers and says which are there."""
    for one in _contenders(Settings(home=home).resolved(), cache):
        print(f"{one.name:16} {one.version:32} {one.absent or 'there'}")


RUN: Mapping[str, Callable[[Path, Path, Options, Path], None]] = {
    "drain": drains,
    "latency": latencies,
    "ingest": ingests,
    "safety": safety,
    "absent": absents,
    "account": accounts,
    "security": security_price,
    "startup": startup,
    "sizes": sizes,
    "peers": peers,
}


def _contenders(settings: Settings, cache: Path, names: Sequence[str] = ()) -> list[Contender]:
    """Those of these names, installed where they are not yet; all if none is named."""
    folder = cache / "peers"
    known: Mapping[str, Callable[[], Contender]] = {
        "ours": lambda: ours(settings),
        "bento": lambda: others.bento(folder, tuned=True),
        "bento-defaults": lambda: others.bento(folder, tuned=False),
        "dsbulk": lambda: others.dsbulk(folder),
        "latte": lambda: others.latte(folder),
        "tutorial": lambda: tutorial(settings),
    }
    if unknown := set(names) - set(known):
        raise SystemExit(f"nobody is called {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name]() for name in names or known]


def _about(where: Place, options: Options, contenders: Sequence[Contender]) -> dict[str, Any]:
    heaps = where.settings.heaps
    release = where.store.execute("SELECT release_version FROM system.local", ())[0]["release_version"]
    return {
        "command": _command(),
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": options.rounds,
        "warm_up": "everyone" if options.warm_up is None else ", ".join(options.warm_up),
        "commit": _commit(),
        "machine": {
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
            "system": platform.release(),
            "python": platform.python_version(),
            "load_at_the_end": os.getloadavg()[1],
        },
        "servers": {
            "cassandra": f"{release}, heap {heaps.cassandra}",
            "kafka": f"heap {heaps.kafka}",
            "spark": f"{version('pyspark')}, one worker",
        },
        "contenders": {one.name: {"what": one.what, "version": one.version, "heap": one.heap} for one in contenders},
    }


def _command() -> str:
    """Without the folders of this machine."""
    given = iter(sys.argv[1:])
    kept = [one for one in given if one not in ("--cache", "--results") or not next(given, "")]
    return " ".join(("scripts/bench", *kept))


def _commit() -> str:
    """What was measured: "-dirty" where it is not the code of that commit. Results of earlier parts do not count."""
    git = ("git", "-C", str(ROOT))
    commit = subprocess.run((*git, "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=False)
    changed = subprocess.run((*git, "diff", "--quiet", "HEAD", "--", ".", *_NO_CODE), check=False)
    return commit.stdout.strip() + ("-dirty" if changed.returncode else "")


def _keep(
    path: Path,
    about: Mapping[str, Any],
    outcomes: Mapping[str, Sequence[Mapping[str, Any]]],
    absent: Mapping[str, str] | None = None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"about": about, "absent": absent or {}, "outcomes": outcomes}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"written: {path}")
