"""What a pipeline is: one declaration from which every other form of it is derived.

A pipeline is declared once (see `users`): a `Record` class with one annotated attribute per field, and a `Pipeline`
that says where records come from and go to. Derived here, without any client library: the columns, the JSON Schema of
the Kafka value, Spark's schema as DDL, the `CREATE TABLE` and the table for the documentation.
"""

import importlib
import re
import string
import sysconfig
import traceback
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from annotated_types import MinLen
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from penstock.errors import ContractError
from penstock.pipelines.types import TYPES, FieldType, plain_type
from penstock.source import Source


@dataclass(frozen=True)
class From:
    """Where a field's value stands in one item of the API's answer.

    A dotted path (`login.uuid`) takes the value as it is. A template (`{street.number} {street.name}`) writes text;
    its integers are written in decimal. If all its parts are absent or null, so is the field; if only some are, the
    record is rejected, for the rest of the text would be lost.
    """

    path: str

    @property
    def template(self) -> "Template | None":
        """How the text is made; None for a plain path."""
        return _template(self.path)


@dataclass(frozen=True)
class Template:
    """Paths of values, and the form that `str.format` puts these into, in their order."""

    paths: tuple[str, ...]
    form: str


@cache
def _template(path: str) -> Template | None:
    try:
        parsed = tuple(string.Formatter().parse(path))
    except ValueError as error:
        raise ContractError(f"From({path!r}) is no template: {error}") from error
    paths = tuple(name for _, name, _, _ in parsed if name is not None)
    if not paths:
        return None
    if any(name == "" or spec or conversion for _, name, spec, conversion in parsed):
        raise ContractError(f"From({path!r}): a template holds paths in braces and no formats, e.g. {{street.number}}")
    form = "".join(_doubled(literal) + "{}" * (name is not None) for literal, name, _, _ in parsed)
    return Template(paths, form)


def _doubled(literal: str) -> str:
    return literal.replace("{", "{{").replace("}", "}}")


# cassandra-all 5.0.9, org/apache/cassandra/cql3/reserved_keywords.txt; a later Cassandra may have more.
_WORDS = """
add allow alter and apply asc authorize batch begin by columnfamily create delete desc describe drop entries execute
from full grant if in index infinity insert into is keyspace limit materialized modify nan norecursive not null of
on or order primary rename revoke schema select set table to token truncate unlogged update use using view where with
"""
RESERVED_IN_CQL = frozenset(_WORDS.split())
"""Words that Cassandra takes for no name, in lower case."""
_LONGEST_KEY_BYTES = 65_535
"""A longer partition key, or an empty one, is refused by Cassandra: its length travels in 16 bits."""

Text = Annotated[str, StringConstraints(min_length=1)]
"""Text that says something: the empty string is rejected."""


class Record(BaseModel):
    """Base of a declared record: immutable, exact types, no unknown fields, only numbers that JSON can carry.

    A field that may be absent is declared `X | None = None`; every other field is required.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Column:
    """One declared field, in every form that is derived from it.

    `min_length` counts characters and is 0 where any will do; `max_bytes` counts those of the text in UTF-8.
    """

    name: str
    kind: FieldType
    required: bool
    origin: From
    min_length: int
    meaning: str
    max_bytes: int | None = None

    @property
    def python(self) -> type:
        return self.kind.python

    @property
    def cql(self) -> str:
        return self.kind.cql

    @property
    def spark(self) -> str:
        return self.kind.spark


class Schedule(BaseModel):
    """What Airflow calls the pipeline, and when it runs it. `start` is aware."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag_id: str
    task_id: str = "ingest"
    owner: str = "airflow"
    start: AwareDatetime
    every: str | timedelta | None = "@daily"
    """A cron expression in UTC, one of Airflow's names such as `@daily`, or a length of time; None: only by hand. A
    source that asks for {start} and {end} gets the interval from the last such time to this one."""
    catchup: bool = False
    """Whether Airflow also runs the intervals since `start` that are over already."""
    max_active_runs: int = Field(default=16, gt=0)
    """Runs at a time; each keeps the source's rate for itself."""
    lag: Annotated[timedelta, Field(ge=timedelta(0))] = timedelta(0)
    """How long after the end of its interval a run begins, for an API whose records come late."""


class Pipeline(BaseModel):
    """The whole declaration. `version` travels with every message; raise it when the record changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: int = Field(gt=0)
    record: type[Record]
    key: str
    source: Source
    topic: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,200}$")
    keyspace: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")
    table: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")
    app_name: str
    schedule: Schedule
    absent: Literal["clear", "keep"] = "clear"
    """What an absent or null field does to its column: `clear` sets the column to null, because what the source says
    last is true; `keep` leaves the column as it is, for a source whose records hold only the fields that changed."""

    @model_validator(mode="after")
    def _key_is_a_required_column(self) -> Self:
        if not any(column.name == self.key and column.required for column in self.columns):
            raise ContractError(
                f"pipeline {self.name}: key {self.key!r} is not a required field of {self.record.__name__}"
            )
        return self

    @field_validator("keyspace", "table")
    @classmethod
    def _is_no_word_of_cql(cls, name: str) -> str:
        return _named("keyspace or table", name)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The fields in the order of their declaration; a key of text has the bounds of Cassandra's keys."""
        return _columns(self.record, self.key)

    @property
    def dead_letter_topic(self) -> str:
        return f"{self.topic}.dead-letters"

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the Kafka value."""
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **self.record.model_json_schema()}

    def spark_ddl(self) -> str:
        """The record as Spark's DDL, for `StructType.fromDDL`."""
        return ", ".join(
            f"{column.name} {column.spark}{' NOT NULL' if column.required else ''}" for column in self.columns
        )

    def create_table(self) -> str:
        """The CQL that creates the table if it is absent; the keyspace must exist."""
        lines = [
            f"    {column.name} {column.cql}{' PRIMARY KEY' if column.name == self.key else ''}"
            for column in self.columns
        ]
        return f"CREATE TABLE IF NOT EXISTS {self.keyspace}.{self.table} (\n" + ",\n".join(lines) + "\n)"

    def markdown_table(self) -> str:
        """The fields as a Markdown table, for the documentation."""
        rows = [
            f"| `{c.name}` | {c.cql} | {'yes' if c.required else 'no'} | `{c.origin.path}` | {c.meaning} |"
            for c in self.columns
        ]
        return "\n".join(["| column | type | required | from the API | meaning |", "|---|---|---|---|---|", *rows])


def load_pipeline(reference: str) -> Pipeline:
    """The pipeline that `module:NAME` names.

    Raises:
        ContractError: no such module, it cannot be imported, or the name in it is not a `Pipeline`.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        pipeline = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        # The module is the user's, and may fail in any way while it is imported.
        where = _line_of(error)
        if isinstance(error, (ContractError, ValidationError)):
            raise ContractError(f"{where}{_sentence(error)}") from error
        raise ContractError(
            f"no pipeline at {reference!r}: {where}{type(error).__name__}: {error}. "
            "Give module:NAME, e.g. penstock.users:USERS; a module of your own must be importable (PYTHONPATH)."
        ) from error
    if not isinstance(pipeline, Pipeline):
        raise ContractError(f"{reference!r} is a {type(pipeline).__name__}, not a penstock.Pipeline")
    return pipeline


_OURS = str(Path(__file__).parents[1])


def _line_of(error: BaseException) -> str:
    """`file:line: ` of the declaration's line that failed; empty where no line of a declaration is to blame."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    libraries = (_OURS, *sysconfig.get_paths().values(), "<")
    found = [frame for frame in frames if not frame.filename.startswith(libraries)]
    return f"{found[-1].filename}:{found[-1].lineno}: " if found else ""


def _sentence(error: ContractError | ValidationError) -> str:
    if isinstance(error, ContractError):
        return str(error)
    problems = (
        f"{'.'.join(map(str, each['loc'])) or error.title}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    )
    return f"{error.title}: {'; '.join(problems)}"


# Per class, not per pipeline: a copy of a pipeline with another record has other columns.
@cache
def _columns(record: type[Record], key: str) -> tuple[Column, ...]:
    columns = (_column(name, field) for name, field in record.model_fields.items())
    return tuple(_as_key(column) if column.name == key else column for column in columns)


def _as_key(column: Column) -> Column:
    if column.python is not str:
        return column
    return replace(column, min_length=max(1, column.min_length), max_bytes=_LONGEST_KEY_BYTES)


def _named(what: str, name: str) -> str:
    if name in RESERVED_IN_CQL:
        raise ContractError(f"{what} {name!r} is a reserved word of CQL: give it another name, e.g. {name}_value")
    return name


def _column(name: str, field: FieldInfo) -> Column:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ContractError(f"field {name!r}: a column's name is lower-case letters, digits and underscores")
    _named("field", name)
    origin = next((item for item in field.metadata if isinstance(item, From)), None)
    if origin is None:
        raise ContractError(f"field {name!r} does not say where it comes from: annotate it with From('path')")
    python, nullable = plain_type(field.annotation)
    if python not in TYPES:
        allowed = ", ".join(each.__name__ for each in TYPES)
        raise ContractError(f"field {name!r} has type {field.annotation}, which has no column type; allowed: {allowed}")
    if origin.template and python is not str:
        raise ContractError(f"field {name!r} is a template, which writes text; its type is {python.__name__}, not str")
    if nullable == field.is_required():
        raise ContractError(f"field {name!r}: write `X | None = None` if it may be absent, else `X` without a default")
    return Column(
        name=name,
        kind=TYPES[python],
        required=field.is_required(),
        origin=origin,
        min_length=_min_length(field),
        meaning=field.description or "",
    )


def _min_length(field: FieldInfo) -> int:
    def lengths(metadata: tuple[Any, ...] | list[Any]) -> list[int]:
        found = [item.min_length for item in metadata if isinstance(item, (MinLen, StringConstraints))]
        return [length for length in found if length]

    nested = [lengths(get_args(member)) for member in get_args(field.annotation) if get_origin(member) is Annotated]
    return max([*lengths(field.metadata), *(length for group in nested for length in group)], default=0)
