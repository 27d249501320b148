"""Compares a record with its row: which columns do not show it."""

from typing import Any, NamedTuple

from penstock.cassandra import Row
from penstock.pipelines.contract import Column, Pipeline, Record
from penstock.pipelines.identity import is_deleted

_NO_ROW = "no row"


class Difference(NamedTuple):
    """The columns in which a row does not show a record; names columns, never their values."""

    why: str
    """Empty when it shows all of it."""
    only_unset: bool
    """No cell has a wrong value or write time, some have none: they were never written, cleared since, or expired."""


def difference(pipeline: Pipeline, record: Record, row: Row | None, timestamp_ms: int) -> Difference:
    """Whether the row, if there is one, shows that the record was stored.

    A cell of a later write time is a newer record's, which is as it should be; whether there is one, only
    `Ledger.changed_elsewhere` knows. A column that the record has absent must have no older value, unless the pipeline
    keeps it, and none of this record's write time. A column that the record has must be set; it may be unset where a
    newer record cleared it, for which Cassandra tells no write time: so the newer record is known by the columns that
    every record has.

    A record that says that it is deleted is stored when its row is not there, or all of it is newer. A row without any
    value tells no write time.
    """
    if is_deleted(pipeline, record):
        return _undeleted(row, timestamp_ms * 1_000)
    if row is None:
        return Difference(_NO_ROW, only_unset=True)
    written_us = timestamp_ms * 1_000
    unset, wrong = [], []
    for column in pipeline.cells:
        expected, cell_us = getattr(record, column.name), row.written_us.get(column.name)
        if cell_us is None:
            unset += [f"{column.name} is not set"] if expected is not None else []
        elif expected is None:
            wrong += [f"{column.name} is still set"] if _is_left(pipeline, cell_us, written_us) else []
        elif cell_us < written_us:
            wrong.append(f"{column.name} is older")
        elif cell_us == written_us and not _is_same(column, expected, row.values[column.name]):
            wrong.append(f"{column.name} differs")
    if not wrong and (not unset or _is_replaced(pipeline, row, written_us)):
        return Difference("", only_unset=False)
    return Difference(", ".join([*wrong, *unset]), only_unset=not wrong)


def _undeleted(row: Row | None, written_us: int) -> Difference:
    """What is left of a row that was to be removed at this write time."""
    if row is None:
        return Difference("", only_unset=False)
    left = [f"{name} is still set" for name, cell_us in row.written_us.items() if cell_us <= written_us]
    if left or not row.written_us:
        return Difference(", ".join(left) or "its row is still there", only_unset=not left)
    return Difference("", only_unset=False)


def _is_left(pipeline: Pipeline, cell_us: int, written_us: int) -> bool:
    """Whether a cell stands there that the record, which has it absent, must have cleared."""
    return cell_us == written_us or (cell_us < written_us and pipeline.absent == "clear")


def _is_replaced(pipeline: Pipeline, row: Row, written_us: int) -> bool:
    """Whether a newer record was written over all of it: then what is unset in the row was cleared."""
    if pipeline.absent == "keep":
        return False
    newer = {c.name for c in pipeline.cells if row.written_us.get(c.name, written_us) > written_us}
    required = {column.name for column in pipeline.cells if column.required}
    return required <= newer if required else bool(newer)


def _is_same(column: Column, expected: Any, found: Any) -> bool:
    return found is not None and column.kind.is_same(expected, found)
