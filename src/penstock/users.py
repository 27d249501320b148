"""The users pipeline: the one place that lists its fields, names, source and schedule."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from penstock import From, Generated, Pipeline, Record, Schedule, Source, Text


class User(Record):
    """One person: what the users API says of them, and one row of `created_users`."""

    id: Annotated[UUID, From("login.uuid"), Field(description="the API's own id: the same person, the same row")]
    first_name: Annotated[Text, From("name.first"), Field(description="given name, in any script")]
    last_name: Annotated[Text, From("name.last"), Field(description="family name, in any script")]
    gender: Annotated[str | None, From("gender"), Field(description="as the API words it")] = None
    address: Annotated[
        str | None,
        From("{location.street.number} {location.street.name}, {location.city}, {location.state}, {location.country}"),
        Field(description="one line: street, city, state, country"),
    ] = None
    post_code: Annotated[
        str | None,
        From("{location.postcode}"),
        Field(description="text, though the API gives some countries' as numbers"),
    ] = None
    email: Annotated[Text, From("email"), Field(description="address as given")]
    username: Annotated[Text, From("login.username"), Field(description="user name")]
    registered_date: Annotated[str | None, From("registered.date"), Field(description="ISO 8601, as given")] = None
    phone: Annotated[str | None, From("phone"), Field(description="as written in the person's country")] = None
    picture: Annotated[str | None, From("picture.medium"), Field(description="address of a portrait")] = None


USERS = Pipeline(
    name="users",
    version=1,
    record=User,
    key="id",
    source=Source(
        url="https://randomuser.me/api/",
        items="results",
        paging=Generated(
            seed_param="seed",
            page_param="page",
            size_param="results",
            # The API gives at most 5,000 a request and silently 1 beyond that; small pages keep a retry cheap.
            size=1_000,
            # Beyond page 10,000 the API silently answers with page 1.
            max_pages=10_000,
            records=1_000,
            echoes={"info.seed": "{seed}", "info.page": "{page}", "info.results": "{size}", "info.version": "1.4"},
        ),
    ),
    topic="users_created",
    keyspace="spark_streams",
    table="created_users",
    app_name="SparkDataStreaming",
    schedule=Schedule(
        dag_id="user_info",
        task_id="streaming_task",
        owner="airflow",
        start=datetime(2025, 3, 12, 14, 30, tzinfo=UTC),
        every="@daily",
    ),
)
