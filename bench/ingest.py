"""How fast ingest publishes: against Kafka's own producer, and with the API."""

import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.dataset import Dataset
from bench.place import Place
from penstock.ingest import Run, ingest, run_ingest
from penstock.kafka import Broker
from penstock.servers.java import find_java
from penstock.simulator.people import Question, answer
from penstock.source import Interval
from penstock.source.api import Answer
from penstock.urls import shown

_PAGES = 20
_PAGE = 1_000
_LINES = 20_000
_TIMEOUT_S = 1_800
_RATE = re.compile(r"^\d+ records sent, ([\d.]+) records/sec", re.MULTILINE)


def ours(place: Place, records: int) -> dict[str, Any]:
    """Ingest without the API: pages that are in memory already, mapped, checked, published and acknowledged."""
    pages = [answer(Question("bench", number, _PAGE))["results"] for number in range(1, _PAGES + 1)]

    def given() -> Iterator[Answer]:
        for number in range(records // _PAGE):
            yield Answer(shown("bench:"), number + 1, pages[number % _PAGES], datetime.now(UTC), 0)

    with Broker(place.settings.kafka) as broker:
        broker.ensure_topics(place.pipeline)
        report = ingest(Run(place.pipeline, "bench", "1"), given(), broker, lambda _: None)
    return _rate(report.acknowledged, report.seconds)


def with_the_api(place: Place, records: int) -> dict[str, Any]:
    """The same over HTTP from the simulator, which shares the machine."""
    interval = Interval(datetime(2025, 3, 12, 14, 30, tzinfo=UTC))
    began_s = time.monotonic()
    report = run_ingest(place.settings, place.pipeline, f"bench-{time.monotonic_ns()}", interval, records)
    return _rate(report.acknowledged, time.monotonic() - began_s)


def kafka_tool(place: Place, dataset: Dataset, jars: Path, compression: str) -> dict[str, Any]:
    """Kafka's producer performance tool with values of the same data set and the same acknowledgements."""
    payload = place.runs / "payload"
    payload.parent.mkdir(parents=True, exist_ok=True)
    with dataset.json_lines.open("rb") as lines, payload.open("wb") as few:
        few.writelines(line for line, _ in zip(lines, range(_LINES), strict=False))
    settings = place.settings
    command = (
        *(str(find_java(settings).runtime / "bin" / "java"), "-Xmx512m", "-cp"),
        str(jars / "*"),
        *("org.apache.kafka.tools.ProducerPerformance", "--topic", place.pipeline.topic),
        *("--num-records", str(dataset.records), "--throughput", "-1", "--payload-file", str(payload)),
        *("--command-property", f"bootstrap.servers={settings.kafka.bootstrap_servers}", "acks=all"),
        f"compression.type={compression}",
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, cwd=Path("/"))
    found = _RATE.findall(done.stdout)
    if done.returncode != 0 or not found:
        raise SystemExit(f"Kafka's tool ended with exit code {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
    return {"wrong": "", "rate": float(found[-1])}


def _rate(acknowledged: int, seconds: float) -> dict[str, Any]:
    memory = psutil.Process().memory_info().rss / 2**20
    return {"wrong": "", "rate": acknowledged / seconds, "peak_mib": memory}
