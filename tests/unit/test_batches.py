"""Batches of rows are no larger than the nodes take them, whatever the rows hold."""

from typing import Annotated
from uuid import UUID

import pytest

from penstock.pipelines.contract import From, Pipeline, Record
from penstock.stream.connectors.cassandra import batch_bytes
from penstock.users import USERS

LIMIT_BYTES = 50 * 1024
"""Cassandra's default of `batch_size_fail_threshold`."""


def declared(columns: int, kind: type, *, required: bool) -> Pipeline:
    """A pipeline with a key and so many columns of one type."""
    field = Annotated[kind, From("x")] if required else Annotated[kind | None, From("x")]  # type: ignore[valid-type] # made here
    fields = {"id": Annotated[UUID, From("id")], **{f"c{number}": field for number in range(columns)}}
    absent = {} if required else {f"c{number}": None for number in range(columns)}
    record = type("Wide", (Record,), {"__annotations__": fields, "__module__": __name__, **absent})
    return USERS.model_copy(update={"record": record})


@pytest.mark.parametrize(
    ("pipeline", "value_bytes"),
    [
        (declared(30, str, required=False), 0),
        (declared(30, bool, required=True), 1),
        (declared(3, int, required=True), 8),
        (USERS, 0),
        (USERS, 40),
    ],
)
def test_no_batch_meets_the_limit_of_a_node(pipeline: Pipeline, value_bytes: int) -> None:
    columns = len(pipeline.columns) - 1
    least = 4 if pipeline is USERS else 0  # its required texts
    values = max(columns * value_bytes, least)
    # The key and the write time count for the connector, each cell's 20 bytes and the row's own 62 for the node.
    rows = batch_bytes(pipeline, LIMIT_BYTES) // (16 + 8 + values)
    assert 1 <= rows * (values + 20 * columns + 62) <= LIMIT_BYTES
