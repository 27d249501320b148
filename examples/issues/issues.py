"""Issues of a GitHub repository, kept up to date: https://docs.github.com/rest/issues/issues#list-repository-issues."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from penstock import Bearer, Desc, From, Int32, JsonText, Key, Link, Pipeline, Record, Schedule, Source, Text


class Issue(Record):
    """One issue or pull request, as it was when the list was read."""

    repository: Annotated[Text, From("repository_url"), Field(description="address of the repository")]
    number: Annotated[int, From("number"), Field(description="within the repository")]
    id: Annotated[int, From("id"), Field(description="within GitHub")]
    title: Annotated[str, From("title"), Field(description="one line")]
    body: Annotated[str | None, From("body"), Field(description="Markdown; absent where nothing was written")] = None
    state: Annotated[str, From("state"), Field(description="open or closed")]
    state_reason: Annotated[str | None, From("state_reason"), Field(description="why it is closed")] = None
    author: Annotated[str | None, From("user.login"), Field(description="absent where the account is gone")] = None
    labels: Annotated[JsonText, From("labels"), Field(description="list of objects")]
    assignees: Annotated[JsonText, From("assignees"), Field(description="list of objects")]
    milestone: Annotated[str | None, From("milestone.title"), Field(description="title of its milestone")] = None
    comments: Annotated[Int32, From("comments"), Field(description="how many")]
    pull_request: Annotated[
        str | None, From("pull_request.html_url"), Field(description="page; absent where it is an issue")
    ] = None
    created_at: Annotated[datetime, From("created_at"), Field(description="when it was opened")]
    updated_at: Annotated[datetime, From("updated_at"), Field(description="when anything of it changed")]
    closed_at: Annotated[datetime | None, From("closed_at"), Field(description="absent where it is open")] = None
    deleted_at: Annotated[
        datetime | None, From("deleted_at"), Field(description="of the simulator only: GitHub lists no deleted issues")
    ] = None


ISSUES = Pipeline(
    name="issues",
    version=1,
    record=Issue,
    key=Key(partition=("repository",), clustering=(Desc("number"),)),
    source=Source(
        url="https://api.github.com/repos/apache/kafka/issues",
        items="",
        params={
            "state": "all",
            # Everything that changed since the run's interval began. GitHub knows no end beside it.
            "since": "{start:%Y-%m-%dT%H:%M:%SZ}",
            # An issue that changes while the list is read enters it or stays where it is: nothing is skipped.
            "sort": "created",
            "direction": "asc",
        },
        headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
        auth=Bearer(secret="ISSUES_TOKEN"),  # noqa: S106 - the name of a secret
        paging=Link(size_param="per_page", size=100),
    ),
    topic="issues",
    keyspace="spark_streams",
    table="issues",
    app_name="Issues",
    deleted="deleted_at",
    schedule=Schedule(
        dag_id="issues",
        start=datetime(2026, 11, 1, tzinfo=UTC),
        every="@hourly",
        # The first run after a pause asks for its own hour only: `penstock ingest --from` brings what lies before it.
        catchup=False,
        max_active_runs=1,
    ),
)
