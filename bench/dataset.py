"""The rows of a benchmark, made once by the simulator's generator: as the topic's values, and as files for loaders.

The same number of records gives the same rows on every machine.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.digest import Digest, digest
from penstock.config import Settings
from penstock.ingest import Run
from penstock.kafka import Broker, Message
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header, Rejected, from_api, to_bytes
from penstock.simulator.people import Question, answer
from penstock.source import seed_for

PAGE = 1_000
FEW = 200_000
"""Rows in the file for latte, which keeps it in memory several times and goes round it."""
_SEED = seed_for(datetime(2025, 3, 12, 14, 30, tzinfo=UTC))


@dataclass(frozen=True)
class Dataset:
    """`records` different records in the files of `folder`."""

    folder: Path
    pipeline: Pipeline
    records: int
    few: int = FEW

    @property
    def json_lines(self) -> Path:
        """One record a line, as the topic's values."""
        return self.folder / f"users-{self.records}.jsonl"

    @property
    def columns(self) -> Path:
        """The values without the key, parted by tabs: the first `few` records."""
        return self.folder / f"users-{self.records}.tsv"

    def mean_bytes(self) -> float:
        return self.json_lines.stat().st_size / self.records - 1

    def expected(self, malformed_percent: int = 0) -> Digest:
        """What must stand in the table."""
        kept = self.folder / f"users-{self.records}.malformed-{malformed_percent}.json"
        if not kept.exists():
            with self.json_lines.open(encoding="utf-8") as lines:
                good = (line for number, line in enumerate(lines) if not is_malformed(number, malformed_percent))
                digest(self._row(line) for line in good).write(kept)
        return Digest.read(kept)

    def expected_of_columns(self) -> Digest:
        """The same for whoever goes round the file of columns and makes keys of its own."""
        rounds, rest = divmod(self.records, min(self.few, self.records))
        found = Digest()
        with self.columns.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                found = found.and_row(["", *line.rstrip("\n").split("\t")], rounds + (number < rest))
        return found

    def _row(self, line: str) -> list[object]:
        parsed = json.loads(line)
        return [parsed.get(column.name) for column in self.pipeline.columns]


def is_malformed(number: int, percent: int) -> bool:
    """Whether the message of that number is spoiled: `percent` of all, evenly spread."""
    return number * percent % 100 < percent


def make(folder: Path, pipeline: Pipeline, records: int, few: int = FEW) -> Dataset:
    """The data set, made where it is not there yet."""
    found = Dataset(folder, pipeline, records, few)
    if not found.json_lines.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = found.json_lines.with_suffix(".part")
        with partial.open("wb") as values, found.columns.open("w", encoding="utf-8") as columns:
            for number, value in enumerate(_values(pipeline, records)):
                values.write(value + b"\n")
                if number < few:
                    parsed = json.loads(value)
                    cells = (parsed[column.name] for column in pipeline.columns if column.name != pipeline.key)
                    columns.write("\t".join(cells) + "\n")
        partial.rename(found.json_lines)
    return found


def halved(dataset: Dataset) -> Dataset:
    """The same records with half of their fields absent, in a folder of their own."""
    found = replace(dataset, folder=dataset.folder / "half")
    if not found.json_lines.exists():
        found.folder.mkdir(exist_ok=True)
        absent = [column.name for column in dataset.pipeline.columns if not column.required]
        absent = absent[: (len(dataset.pipeline.columns) - 1) // 2]
        partial = found.json_lines.with_suffix(".part")
        with dataset.json_lines.open(encoding="utf-8") as lines, partial.open("w", encoding="utf-8") as halves:
            for line in lines:
                kept = {name: value for name, value in json.loads(line).items() if name not in absent}
                halves.write(json.dumps(kept, ensure_ascii=False, separators=(",", ":")) + "\n")
        partial.rename(found.json_lines)
    return found


def fill(settings: Settings, dataset: Dataset, malformed_percent: int = 0) -> None:
    """Writes the topic as ingest does: same keys, headers, compression and acknowledgements."""
    with Broker(settings.kafka) as broker:
        broker.ensure_topics(dataset.pipeline)
        receipts = broker.publish(messages(dataset, malformed_percent))
    if receipts.acknowledged != dataset.records:
        raise SystemExit(f"kafka acknowledged {receipts.acknowledged} of {dataset.records} messages")


def messages(dataset: Dataset, malformed_percent: int = 0) -> Iterator[Message]:
    """The messages of one run; a malformed one is cut in its middle."""
    run = Run(dataset.pipeline, f"bench-{dataset.records}", "1")
    with dataset.json_lines.open("rb") as lines:
        for number, line in enumerate(lines):
            value = line.rstrip(b"\n")
            key = json.loads(value)[dataset.pipeline.key].encode()
            page, index = divmod(number, PAGE)
            headers: dict[str, str] = {**run.headers, Header.ITEM: f"{page + 1}/{index}"}
            sent = value[: len(value) // 2] if is_malformed(number, malformed_percent) else value
            yield Message(dataset.pipeline.topic, key, sent, headers, datetime.now(UTC))


def _values(pipeline: Pipeline, records: int) -> Iterator[bytes]:
    for number in range(records):
        page, index = divmod(number, PAGE)
        if index == 0:
            people = answer(Question(_SEED, page + 1, PAGE))["results"]
        record = from_api(pipeline, people[index])
        if isinstance(record, Rejected):
            raise TypeError(f"person {index} of page {page + 1} is no record: {record.message}")
        yield to_bytes(record)
