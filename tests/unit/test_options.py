"""Declared options of a table are compared with those that it has, as Cassandra words them."""

from typing import Any

import pytest

from penstock.cassandra.options import alteration, other_options
from penstock.users import USERS

# As Cassandra 5.0 tells them of a table.
FOUND: dict[str, Any] = {
    "compaction": {
        "class": "org.apache.cassandra.db.compaction.TimeWindowCompactionStrategy",
        "compaction_window_size": "1",
        "compaction_window_unit": "DAYS",
        "max_threshold": "32",
    },
    "compression": {"chunk_length_in_kb": "16", "class": "org.apache.cassandra.io.compress.LZ4Compressor"},
    "gc_grace_seconds": 864_000,
    "default_time_to_live": 0,
    "crc_check_chance": 1.0,
    "speculative_retry": "99p",
    "memtable": None,
    "cdc": None,
    "comment": "it's",
}
SAME: dict[str, Any] = {
    "compaction": {
        "class": "TimeWindowCompactionStrategy",
        "compaction_window_size": 1,
        "compaction_window_unit": "days",
    },
    "compression": {"class": "LZ4Compressor"},
    "gc_grace_seconds": 864_000,
    "default_time_to_live": 0,
    "crc_check_chance": 1,
    "speculative_retry": "99.0PERCENTILE",
    "memtable": "default",
    "comment": "it's",
    "incremental_backups": True,
}


def test_options_that_only_read_otherwise_are_the_same() -> None:
    assert other_options(USERS.model_copy(update={"options": SAME}), FOUND) == {}


@pytest.mark.parametrize(
    ("name", "declared", "found", "statement"),
    [
        ("gc_grace_seconds", 3_600, "864000", "gc_grace_seconds = 3600"),
        ("default_time_to_live", 60, "0", "default_time_to_live = 60"),
        ("comment", "x", "'it''s'", "comment = 'x'"),
        (
            "compaction",
            {"class": "LeveledCompactionStrategy", "sstable_size_in_mb": 160},
            "{'class': 'TimeWindowCompactionStrategy'}",
            "compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 160}",
        ),
        ("compression", {"enabled": False}, "{}", "compression = {'enabled': false}"),
    ],
)
def test_other_options_are_told_with_what_the_table_has_and_the_statement(
    name: str, declared: Any, found: str, statement: str
) -> None:
    pipeline = USERS.model_copy(update={"options": {**SAME, name: declared}})
    others = other_options(pipeline, FOUND)
    assert others == {name: found}
    assert alteration(pipeline, others) == f"ALTER TABLE spark_streams.created_users WITH {statement}"
