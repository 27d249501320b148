"""Some records of one run, read from where ingest said that its last messages stand: never the whole topic."""

from dataclasses import dataclass
from datetime import datetime

from penstock.cassandra import RunCounts
from penstock.kafka import Broker, Received
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import key_of, key_text
from penstock.pipelines.record import Header, Rejected

_BEFORE = 250
"""Messages of each partition that are looked at, before the run's last one there."""
_MOST_BYTES = 32 * 1024 * 1024
"""That are read for one answer; a message may have 16 MiB."""


@dataclass(frozen=True)
class Sent:
    """One message of the run. `key` is empty where it holds no record; `problem` says why."""

    partition: int
    offset: int
    at: datetime
    item: str
    key: str
    problem: str


def of_run(broker: Broker, pipeline: Pipeline, run: RunCounts, most: int) -> list[Sent]:
    """Up to `most` of the run's newest messages, the newest first."""
    ends: dict[int, int] = {}
    for report in run.reports.values():
        ends |= {number: max(last + 1, ends.get(number, 0)) for number, last in report.last.items()}
    if ends:
        start = {number: end - _BEFORE for number, end in ends.items()}
        found, size = [], 0
        for message in broker.read(pipeline.topic, start=start, end=ends):
            size += len(message.value or b"")
            if message.headers.get(Header.RUN, "") == run.run:
                found.append(message)
            if size > _MOST_BYTES:
                break
    else:
        found = [one for one in broker.tail(pipeline.topic, _BEFORE) if one.headers.get(Header.RUN, "") == run.run]
    found.sort(key=lambda one: (one.timestamp_ms, one.offset), reverse=True)
    return [_sent(pipeline, message) for message in found[:most]]


def _sent(pipeline: Pipeline, message: Received) -> Sent:
    record = message.judged(pipeline)
    return Sent(
        message.partition,
        message.offset,
        message.timestamp,
        message.headers.get(Header.ITEM, ""),
        "" if isinstance(record, Rejected) else key_text(key_of(pipeline, record)),
        f"{record.reason}: {record.message}" if isinstance(record, Rejected) else "",
    )
