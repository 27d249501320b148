"""What the rounds publish: people again, under a key of two columns, and who leave."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, Field

from penstock import From, Key, Pipeline, Schedule
from penstock.users import USERS, User


class Member(User):
    """A person who may have left, and may have come back since."""

    left: Annotated[AwareDatetime | None, From("left"), Field(description="the row goes")] = None


MEMBERS = Pipeline(
    name="members",
    version=1,
    record=Member,
    key=Key(partition=("email",), clustering=("id",)),
    deleted="left",
    source=USERS.source,
    topic="members",
    keyspace=USERS.keyspace,
    table="members",
    app_name=USERS.app_name,
    schedule=Schedule(dag_id="members", start=datetime(2025, 3, 12, tzinfo=UTC)),
)
