"""What `rebuild` writes has the values that the stream would have written."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from penstock.cassandra import Store
from penstock.config import Settings, child_environment
from penstock.kafka import Broker, Message
from penstock.pipelines.identity import message_key
from penstock.pipelines.record import to_bytes
from tests.quakes import QUAKES, Quake

ROOT = Path(__file__).parents[2]
OLD = datetime(1500, 1, 1, tzinfo=UTC)
NAMES = {"name": "old_quakes", "topic": "old_quakes", "table": "old_quakes"}


@pytest.mark.thorough
def test_times_before_1582_stay_what_they_are(stack_settings: Settings, tmp_path: Path) -> None:
    declared = (ROOT / "tests" / "quakes.py").read_text("utf-8")
    (tmp_path / "old_pipeline.py").write_text(f"{declared}\nOLD = QUAKES.model_copy(update={NAMES!r})\n", "utf-8")
    settings = stack_settings.model_copy(update={"pipelines": ("old_pipeline:OLD",)})
    pipeline, sent = QUAKES.model_copy(update=NAMES), datetime.now(UTC) - timedelta(hours=1)
    one = Quake(station="berlin", day=date(1500, 2, 28), time=OLD, id=UUID(int=1))
    with Broker(settings.kafka) as broker, Store(settings.cassandra) as store:
        broker.ensure_topics(pipeline)
        broker.publish([Message(pipeline.topic, message_key(pipeline, one), to_bytes(one), {}, sent)])
        done = subprocess.run(
            (sys.executable, "-m", "penstock", "rebuild", "--from-beginning"),
            env={**child_environment(settings.environment()), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        [row] = store.any_rows(pipeline, 10)
    assert (row.values["time"], row.values["day"]) == (OLD, one.day)
