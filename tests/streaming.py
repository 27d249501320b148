"""`penstock stream` as a process of its own, and messages for it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psutil

from penstock.config import Settings
from penstock.kafka import Broker, Message
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Header
from penstock.users import User

STOP_TIMEOUT_S = 120


# Not long ago: Kafka deletes what is older than its retention, by this time.
SENT = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


OWN = "from penstock.users import USERS\nOWN = USERS.model_copy(update=dict(topic={0!r}, table={0!r}))\n"


def started(settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    """`penstock stream`, its output beside its checkpoint."""
    folder = Path(settings.spark.checkpoint).parent
    environment = {**os.environ, **settings.environment(), "PYTHONPATH": str(folder)}
    with (folder / "stream.log").open("ab") as log:
        command = (sys.executable, "-m", "penstock", "--verbose", "stream", *arguments)
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def log_of(settings: Settings) -> str:
    return (Path(settings.spark.checkpoint).parent / "stream.log").read_text()


def taken(settings: Settings) -> int:
    """Messages that the stream says it has stored or rejected, in all epochs."""
    return sum(
        int(stored) + int(bad) for stored, bad in re.findall(r"stored (\d+) rows, (\d+) rejected", log_of(settings))
    )


def committed(settings: Settings) -> int:
    """Sum of the offsets up to which the checkpoint says that all partitions were read."""
    place = Path(settings.spark.checkpoint, "users")
    done = [int(path.name) for path in (place / "commits").glob("*") if path.name.isdecimal()]
    if not done:
        return 0
    [ends] = json.loads((place / "offsets" / str(max(done))).read_text().splitlines()[-1]).values()
    return sum(ends.values())


@contextmanager
def streaming(settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The app, which is told to stop at the end if it still runs; nothing of it may be left."""
    process = started(settings, *arguments)
    family = psutil.Process(process.pid)
    try:
        yield process
        children = family.children(recursive=True) if process.poll() is None else []
        process.terminate()
        assert process.wait(STOP_TIMEOUT_S) == 0
        assert psutil.wait_procs(children, STOP_TIMEOUT_S)[1] == []
    finally:
        if process.poll() is None:
            process.kill()


def message(own: Pipeline, value: bytes, sent: datetime = SENT) -> Message:
    return Message(own.topic, None, value, {Header.RUN: "r", Header.PIPELINE: "users", Header.VERSION: "1"}, sent)


def user(number: int, **changes: str | None) -> User:
    return User(
        id=UUID(int=number),
        first_name=f"n{number}",
        last_name="علی",
        email="e@example.com",
        username="u",
        **changes,
    )


def publish(broker: Broker, own: Pipeline, values: Sequence[bytes], sent: datetime = SENT) -> None:
    broker.ensure_topics(own)
    broker.publish(message(own, value, sent) for value in values)


@contextmanager
def suspended(pid: int) -> Iterator[None]:
    """Within it the process and its children do nothing."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()
