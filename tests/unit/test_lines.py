"""What is wrong with a declaration is told with its own line: the field's or the argument's, not that of the whole."""

import sys
from pathlib import Path

import pytest

from penstock.errors import ContractError
from penstock.pipelines.project import load_pipeline

SOUND = '''\
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from penstock import From, Key, Link, Pipeline, Record, Schedule, Source, Text


class Base(Record):
    id: Annotated[int, From("id")]
    inherited: Annotated[str, From("x")]


class Row(Base):
    """A row."""

    good: Annotated[Decimal, From("x")]
    name: Annotated[Text | None, From("y")] = None


X = Pipeline(
    name="x",
    version=1,
    record=Row,
    key="id",
    source=Source(
        url="https://api.example.com/",
        items="",
        paging=Link(),
    ),
    topic="x",
    keyspace="k",
    table="t",
    app_name="x",
    deleted="name",
    schedule=Schedule(dag_id="x", start=datetime(2026, 1, 1, tzinfo=UTC)),
)
'''


@pytest.mark.parametrize(
    ("wrong", "line", "says"),
    [
        ('    select: Annotated[str, From("y")]', 17, "field 'select' is a reserved word of CQL"),
        ('    name: Annotated[complex, From("y")]', 17, "field 'name' has type"),
        ('    name: Annotated[str, From("y")] = None', 17, "field 'name': write"),
        ('    name: Annotated[str, From("{y")]', 17, "is no template"),
        ("    name: str", 17, "does not say where it comes from"),
        ('    inherited: Annotated[str, From("a")] = None', 10, "field 'inherited': write"),
        ('    key="di",', 24, "key 'di' is not a required field"),
        ('    key=Key(partition=("id", "id")),', 24, "a column twice"),
        ('    key="good",', 24, "of which Cassandra makes no key"),
        ('    topic="a topic",', 30, "topic: String should match pattern"),
        ('    table="table",', 32, "'table' is a reserved word of CQL"),
        ('    key=Key(partition=("id")),', 24, "Key: partition is 'id', and is a tuple: ('id',)"),
        ("        paging=Link,", 28, "paging is the class Link, and not one of its kind: Link(…)"),
        ('    deleted="id",', 34, "deleted='id' is no field"),
        ("    version=1, ttl=timedelta(0),", 22, "is not a number of whole seconds"),
        ('    version=1, options={"x": 1},', 22, "table option 'x' is unknown"),
        ("    version=1, nonsense=1,", 22, "nonsense: Extra inputs are not permitted"),
        ('        paging=Link(size_param="s", size=0),', 28, "size: Input should be greater than 0"),
        ("        items=5,", 27, "items"),
        ('        url="https://api.example.com/{begin}",', 26, "{begin} is no part of a run"),
        (
            '    schedule=Schedule(dag_id="x", start=datetime(2026, 1, 1)),',
            35,
            "start: Input should have timezone info",
        ),
        ("    version=unknown,", 22, "NameError: name 'unknown' is not defined"),
        ("    version=1 2,", 22, "SyntaxError"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    wrong: str, line: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = SOUND.splitlines()
    lines[line - 1] = wrong
    (tmp_path / "wrong_declaration.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ContractError) as told:
        load_pipeline("wrong_declaration:X")
    sys.modules.pop("wrong_declaration", None)
    assert f"{tmp_path}/wrong_declaration.py:{line}: " in str(told.value)
    assert says in str(told.value)
    assert "PYTHONPATH" not in str(told.value)
