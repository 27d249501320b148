"""A flag that an API writes as one value among others: true, false, or as absent as the value is."""

from typing import Annotated, Any
from uuid import UUID

import pytest

from penstock import From, Is, Record
from penstock.pipelines.identity import is_deleted
from penstock.pipelines.record import Rejected, from_api, to_bytes
from penstock.users import USERS

ID = "10cd8b3e-6196-4359-863a-5f09769aa5ad"


class Item(Record):
    """An item that may be deleted."""

    id: Annotated[UUID, From("id")]
    gone: Annotated[bool | None, From("status", form=Is("deleted"))] = None
    first: Annotated[bool | None, From("rank", form=Is(1))] = None


OWN = USERS.model_copy(update={"record": Item, "deleted": "gone"})


@pytest.mark.parametrize(
    ("item", "flag", "goes"),
    [
        ({"status": "deleted"}, '"gone":true', True),
        ({"status": "open"}, '"gone":false', False),
        ({"status": 0}, '"gone":false', False),
        ({"status": None}, "", False),
        ({}, "", False),
        ({"rank": 1}, '"first":true', False),
        ({"rank": True}, '"first":false', False),
        ({"rank": 1.0}, '"first":false', False),
    ],
)
def test_value_is_the_one_of_the_flag_or_another(item: dict[str, Any], flag: str, goes: bool) -> None:
    record = from_api(OWN, {"id": ID, **item})
    assert not isinstance(record, Rejected)
    assert to_bytes(record).decode() == f'{{"id":"{ID}"{"," if flag else ""}{flag}}}'
    assert is_deleted(OWN, record) is goes
