"""A worker that is lost for a while: the stream goes on in micro-batches with what is left, and comes back."""

from datetime import UTC, datetime
from uuid import uuid4

import psutil
import pytest

from penstock.audit import ledger
from penstock.config import Settings
from penstock.ingest import run_ingest
from penstock.launcher import control
from penstock.source import Interval
from penstock.users import USERS
from tests.waiting import TIMEOUT_S, until

RECORDS = 100
TOO_FEW, ENOUGH = "too few for real-time mode", "it goes on in real time"


def said(settings: Settings, words: str) -> int:
    """How often the stream has said so."""
    return sum(path.read_text("utf-8").count(words) for path in (settings.home / "logs").glob("stream.log*"))


@pytest.mark.thorough  # it waits for twice the patience that a stream has with its slots
def test_slots_that_are_gone_are_done_without_and_taken_again(stack_settings: Settings) -> None:
    settings = stack_settings
    [worker] = [one for one in control.status(settings, memory=False).services if one.name == "spark-worker"]
    process = psutil.Process(worker.pid)
    gone, back = said(settings, TOO_FEW), said(settings, ENOUGH)
    process.suspend()  # it starts no other executor meanwhile
    try:
        for executor in process.children():
            executor.kill()
        until(lambda: said(settings, TOO_FEW) > gone, "the stream did not notice that it has no task slot")
        run_ingest(settings, USERS, run := f"test__{uuid4()}", Interval(datetime.now(UTC)), RECORDS)
    finally:
        process.resume()
    account = ledger.wait_until_balanced(settings, USERS, run, TIMEOUT_S)
    assert account.equation() == f"fetched {RECORDS} = stored {RECORDS} + dead-lettered 0"
    until(lambda: said(settings, ENOUGH) > back, "the stream did not come back to real time")
    run_ingest(settings, USERS, again := f"test__{uuid4()}", Interval(datetime.now(UTC)), RECORDS)
    assert ledger.wait_until_balanced(settings, USERS, again, TIMEOUT_S).equation() == account.equation()
