"""Every type, a key of several columns, a time to live and deletions, through the real stream into a real table."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from penstock.audit import ledger
from penstock.audit.trace import trace
from penstock.cassandra import Store
from penstock.config import Settings
from penstock.kafka import Broker, Message
from penstock.pipelines.identity import key_of, key_text, message_key
from penstock.pipelines.record import Header, to_bytes
from rig.stacks import free_ports
from tests.quakes import QUAKES, Quake
from tests.streaming import streaming
from tests.waiting import until

NOW = datetime.now(UTC).replace(microsecond=123_000) - timedelta(hours=1)
ROOT = Path(__file__).parents[2]
ALL: dict[str, Any] = {
    "size": Decimal("-12345678901234567890123456789012345678901234.50"),
    "felt": -(2**31),
    "reports": 2**63 - 1,
    "depth": 0.1,
    "final": False,
    "source": ip_address("2001:db8::1"),
    "wave": b"\x00\xff\xef",
    "steps": ["b", "", "a"],
    "tags": {"علی", "x"},
    "labels": {"b": "1", "": "2"},
    "shape": '{"type":"Point"}',
}
NOTHING: dict[str, Any] = {"steps": [], "tags": set(), "labels": {}, "wave": b"", "source": ip_address("1.2.3.4")}


def quake(number: int, **fields: Any) -> Quake:
    time = datetime(1950, 1, 1, tzinfo=UTC) if number == 3 else datetime(2025, 3, 12, 14, 30, 0, 123_456, tzinfo=UTC)
    return Quake(station="berlin", day=date(1500, 2, 28), time=time, id=UUID(int=number), **fields)


def publish(broker: Broker, quakes: list[Quake], sent: datetime) -> None:
    broker.publish(
        Message(QUAKES.topic, message_key(QUAKES, one), to_bytes(one), {Header.RUN: "r"}, sent) for one in quakes
    )


@pytest.fixture
def settings(stack_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    [port] = free_ports(1)
    (tmp_path / "quakes_pipeline.py").write_text((ROOT / "tests" / "quakes.py").read_text("utf-8"))
    spark = {"master": "local[4]", "checkpoint": str(tmp_path / "checkpoint")}
    return stack_settings.model_copy(
        update={
            "pipelines": ("quakes_pipeline:QUAKES",),
            "ports": stack_settings.ports.model_copy(update={"spark_driver_ui": port}),
            "spark": stack_settings.spark.model_copy(update=spark),
        }
    )


def test_every_type_arrives_under_its_whole_key_lives_as_long_as_is_left_and_goes_when_it_says_so(
    settings: Settings, broker: Broker, store: Store
) -> None:
    full, empty, plain = quake(1, **ALL), quake(2, **NOTHING), quake(3)
    broker.ensure_topics(QUAKES)
    publish(broker, [full, empty, plain], NOW)
    publish(broker, [quake(4)], NOW - timedelta(days=4))
    publish(broker, [quake(1, gone=NOW)], NOW - timedelta(minutes=1))
    publish(broker, [quake(5, **ALL)], NOW)
    publish(broker, [quake(5, gone=NOW)], NOW + timedelta(minutes=1))
    publish(broker, [quake(5, **ALL)], NOW)
    with streaming(settings):
        until(lambda: store.has_table(QUAKES.keyspace, QUAKES.table))
        until(lambda: store.count(QUAKES) == 3)
        until(lambda: ledger.reconcile_deeply(settings, QUAKES, "r")[0].account.past_ttl == 1)
    rows = {row.values["id"].int: row for row in store.rows(QUAKES, [key_of(QUAKES, one) for one in (full, empty)])}
    assert {name: rows[1].values[name] for name in ALL} == ALL
    assert {name: rows[2].values[name] for name in NOTHING} == NOTHING
    left = f"SELECT ttl(size) AS left FROM {QUAKES.keyspace}.{QUAKES.table} WHERE station = ? AND day = ?"  # noqa: S608
    lives = max(row["left"] or 0 for row in store.execute(left, ("berlin", full.day)))
    assert timedelta(days=2, hours=22) < timedelta(seconds=lives) < timedelta(days=3) - timedelta(minutes=59)
    [balance] = ledger.reconcile_deeply(settings, QUAKES, "r")
    assert (balance.problem, balance.account.stored, balance.account.past_ttl) == ("", 7, 1)
    in_order = [row.values["id"].int for row in store.any_rows(QUAKES, 10, ("berlin", full.day))]
    assert (sorted(in_order), in_order[-1]) == ([1, 2, 3], 3)
    assert [row.values for row in store.any_rows(QUAKES, 10, key_of(QUAKES, empty))] == [rows[2].values]
    assert store.any_rows(QUAKES, 10, ("ulm", full.day)) == []
    for wanted in (key_text(key_of(QUAKES, full)), str(full.id)):
        found = trace(settings, QUAKES, wanted)
        assert [row.values["id"] for row in found.rows] == [full.id]
        assert [message.deletes for message in found.messages] == [True, False]
