"""The declaration of a pipeline, and every other form of it that follows: columns, schemas, the table.

A pipeline is declared once (see `users`): a `Record` class with one annotated attribute per field, and a `Pipeline`
that says where records come from and go to. Derived here, without any client library: the columns, the JSON Schema of
the Kafka value, Spark's schema as DDL, the `CREATE TABLE` and the table for the documentation.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from annotated_types import MinLen
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from penstock.errors import ContractError
from penstock.pipelines.cql import check_name, check_options, in_cql
from penstock.pipelines.flags import Is
from penstock.pipelines.keys import Key
from penstock.pipelines.schedule import check_interval, checked
from penstock.pipelines.templates import Template, template_of
from penstock.pipelines.times import TimeForm
from penstock.pipelines.types import TYPES, FieldType, plain_type, type_name
from penstock.source import Source


@dataclass(frozen=True)
class From:
    """Where a field's value stands in one item of the API's answer.

    A dotted path (`login.uuid`) takes the value as it is. A template (`{street.number} {street.name}`) writes text;
    its integers are written in decimal. If all its parts are absent or null, so is the field; if only some are, the
    record is rejected, for the rest of the text would be lost. In a path, `tags.0.name` is the first item of a list.

    `form` says how the API writes a time (`penstock.pipelines.times`); without it that is RFC 3339. Or it says which
    value makes a `bool` true: `Is("deleted")`.
    """

    path: str
    form: TimeForm | Is | None = None

    @property
    def template(self) -> Template | None:
        """The template that the path is; None for a plain path."""
        return template_of(self.path)


LONGEST_TTL = timedelta(days=20 * 365)
"""Cassandra's own limit."""
_LONGEST_KEY_BYTES = 65_535
"""A longer partition key, or an empty one, is refused by Cassandra: its length travels in 16 bits."""

Text = Annotated[str, StringConstraints(min_length=1)]
"""Text that says something: the empty string is rejected."""


class Record(BaseModel):
    """Base of a declared record: immutable, exact types, no unknown fields, only numbers that JSON can carry.

    A field that may be absent is declared `X | None = None`; every other field is required.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


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
    def python(self) -> Any:
        return self.kind.python

    @property
    def can_say_deleted(self) -> bool:
        """Whether being there says it, or being true: no value of the type means that there is nothing."""
        return self.kind.is_flag or self.kind.is_time or (self.python is str and self.min_length > 0)

    @property
    def is_bound(self) -> bool:
        """Whether its values must be more than what pydantic checks."""
        return bool(self.kind.form or self.kind.fits or self.max_bytes)

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
    every: Annotated[str | timedelta | None, AfterValidator(checked)] = "@daily"
    """A cron expression in UTC, one of Airflow's names such as `@daily`, or a length of time; None: only by hand.
    {start} and {end} of a source are the last such time and this one."""
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
    key: str | Key
    source: Source
    topic: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,200}$")
    keyspace: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")
    table: str = Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")
    app_name: str
    schedule: Schedule
    absent: Literal["clear", "keep"] = "clear"
    """What an absent or null field does to its column: `clear` sets the column to null, because what the source says
    last is true; `keep` leaves the column as it is, for a source whose records hold only the fields that changed."""
    deleted: str = ""
    """A field by which a record says that it is deleted, by being there or by being true: then its row is removed, with
    all that was written up to the record's write time. What is newer stays."""
    ttl: timedelta | None = None
    """How long after its write time, which is when the API answered, a row disappears; None: never."""
    options: Mapping[str, Any] = Field(default_factory=dict)
    """Options of a table that is made (`penstock.pipelines.cql`), e.g. `{"gc_grace_seconds": 864_000}`."""

    @model_validator(mode="after")
    def _key_is_of_required_columns(self) -> Self:
        names, said = self.keys.names, f"pipeline {self.name}: key"
        if not self.keys.partition or len(set(names)) < len(names):
            raise ContractError(f"{said} {names} has no partition, or a column twice", place="key")
        columns = {column.name: column for column in self.columns}
        for name in names:
            if name not in columns or not columns[name].required:
                raise ContractError(f"{said} {name!r} is not a required field of {self.record.__name__}", place="key")
            if not columns[name].kind.is_key:
                kind = type_name(columns[name].python)
                raise ContractError(
                    f"{said} {name!r} is a {kind}, of which Cassandra makes no key that Python has too", place="key"
                )
        return self

    @model_validator(mode="after")
    def _deleted_is_a_field_that_can_be_absent(self) -> Self:
        column = next((each for each in self.cells if each.name == self.deleted), None)
        if self.deleted and (column is None or (column.required and not column.kind.is_flag)):
            said = f"deleted={self.deleted!r} is no field beside the key that may be absent, or true"
            raise ContractError(f"pipeline {self.name}: {said}", place="deleted")
        if column and not column.can_say_deleted:
            said = f"deleted={self.deleted!r} is a {type_name(column.python)}, of which an API sends 0 or an empty text"
            remedy = "Let it be a time, a Text, or a bool of the value that says it, e.g. form=Is(1)"
            raise ContractError(f"pipeline {self.name}: {said} for what is there. {remedy}", place="deleted")
        return self

    @model_validator(mode="after")
    def _runs_have_the_interval_that_is_asked_for(self) -> Self:
        if self.source.needs_interval:
            check_interval(self.schedule.every)
        return self

    @field_validator("ttl")
    @classmethod
    def _is_a_time_to_live(cls, ttl: timedelta | None) -> timedelta | None:
        if ttl is not None and not (timedelta(seconds=1) <= ttl <= LONGEST_TTL and not ttl.microseconds):
            raise ContractError(
                f"ttl {ttl} is not a number of whole seconds from 1 to {LONGEST_TTL.days} days", place="ttl"
            )
        return ttl

    @field_validator("options")
    @classmethod
    def _are_options_of_a_table(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            check_options(options)
        except ContractError as error:
            raise ContractError(str(error), place="options") from error
        return options

    @field_validator("keyspace", "table")
    @classmethod
    def _is_no_word_of_cql(cls, name: str, info: ValidationInfo) -> str:
        try:
            return check_name("keyspace or table", name)
        except ContractError as error:
            raise ContractError(str(error), place=info.field_name or "") from error

    @property
    def keys(self) -> Key:
        """The key, also where the declaration names one column only."""
        return _key_of_one(self.key) if isinstance(self.key, str) else self.key

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the key in its order."""
        return _key_columns(self.record, self.keys)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The fields in the order of their declaration; a key of text has the bounds of Cassandra's keys."""
        return columns_of(self.record, self.keys)

    @property
    def cells(self) -> tuple[Column, ...]:
        """The columns beside the key: those that have a write time."""
        names = self.keys.names
        return tuple(column for column in self.columns if column.name not in names)

    @property
    def dead_letter_topic(self) -> str:
        return f"{self.topic}.dead-letters"

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the Kafka value."""
        schema = self.record.model_json_schema()
        for column in self.columns:
            if column.kind.schema:
                schema["properties"][column.name] = _schema(column, schema["properties"][column.name])
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}

    def spark_ddl(self) -> str:
        """The record as Spark's DDL, for `StructType.fromDDL`."""
        return ", ".join(
            f"{column.name} {column.spark}{' NOT NULL' if column.required else ''}" for column in self.columns
        )

    def create_table(self) -> str:
        """The CQL that creates the table if it is absent; the keyspace must exist."""
        names, order = self.keys.names, self.keys.order()
        one = names[0] if len(names) == 1 else ""
        lines = [f"    {c.name} {c.cql}{' PRIMARY KEY' if c.name == one else ''}" for c in self.columns]
        lines += [] if one else [f"    {self.keys.primary_key()}"]
        table = f"CREATE TABLE IF NOT EXISTS {self.keyspace}.{self.table} (\n" + ",\n".join(lines) + "\n)"
        options = [order] if order else []
        options += [f"{name} = {in_cql(name, value)}" for name, value in self.options.items()]
        return " WITH ".join([table, "\n    AND ".join(options)]) if options else table

    def markdown_table(self) -> str:
        """The fields as a Markdown table, for the documentation."""
        rows = [
            f"| `{c.name}` | {c.cql} | {'yes' if c.required else 'no'} | `{c.origin.path}` | {c.meaning} |"
            for c in self.columns
        ]
        return "\n".join(["| column | type | required | from the API | meaning |", "|---|---|---|---|---|", *rows])


# Per class, not per pipeline: a copy of a pipeline with another record has other columns.
@cache
def columns_of(record: type[Record], key: Key) -> tuple[Column, ...]:
    """The fields of a record as columns of a table with this key, in the order of their declaration."""
    columns = (_column(record, name, field) for name, field in record.model_fields.items())
    return tuple(_as_key(column, key) if column.name in key.names else column for column in columns)


@cache
def _key_columns(record: type[Record], key: Key) -> tuple[Column, ...]:
    by_name = {column.name: column for column in columns_of(record, key)}
    return tuple(by_name[name] for name in key.names)


@cache
def _key_of_one(name: str) -> Key:
    return Key((name,))


def _schema(column: Column, found: Mapping[str, Any]) -> dict[str, Any]:
    """The type's own schema in place of what pydantic says of the value."""
    own = {**(column.kind.schema or {}), **({"pattern": f"^({column.kind.form.pattern})$"} if column.kind.form else {})}
    kept = {name: found[name] for name in ("title", "description", "default") if name in found}
    return {**kept, **(own if column.required else {"anyOf": [own, {"type": "null"}]})}


def _as_key(column: Column, key: Key) -> Column:
    """Of several columns of the partition each has its share: Cassandra writes them into one, 3 bytes beside each."""
    if column.python is not str:
        return column
    shares = len(key.partition) if column.name in key.partition else 1
    longest = _LONGEST_KEY_BYTES if shares == 1 else _LONGEST_KEY_BYTES // shares - 3
    return replace(column, min_length=max(1, column.min_length), max_bytes=longest)


def _column(record: type[Record], name: str, field: FieldInfo) -> Column:
    try:
        return _declared(name, field)
    except ContractError as error:
        raise ContractError(str(error), place=f"{_owner(record, name).__name__}.{name}") from error


def _owner(record: type[Record], name: str) -> type[Record]:
    """The class that declares the field: the record, or one that it extends."""
    return next(each for each in record.__mro__ if name in inspect.get_annotations(each) or each is Record)


def _declared(name: str, field: FieldInfo) -> Column:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ContractError(f"field {name!r}: a column's name is lower-case letters, digits and underscores")
    check_name("field", name)
    origin = next((item for item in field.metadata if isinstance(item, From)), None)
    if origin is None:
        raise ContractError(f"field {name!r} does not say where it comes from: annotate it with From('path')")
    python, nullable = plain_type(field.annotation, field.metadata)
    if python not in TYPES:
        allowed = ", ".join(map(type_name, TYPES))
        raise ContractError(f"field {name!r} has type {field.annotation}, which has no column type; allowed: {allowed}")
    kind = TYPES[python]
    if isinstance(origin.form, Is):
        if not kind.is_flag:
            raise ContractError(f"field {name!r} has the form of a flag, and its type is {type_name(python)}, not bool")
    elif origin.form and not kind.is_time:
        times = ", ".join(type_name(each) for each, row in TYPES.items() if row.is_time)
        raise ContractError(f"field {name!r} has a form of time, and its type is {type_name(python)}, not {times}")
    if origin.template and python is not str:
        raise ContractError(f"field {name!r} is a template, which writes text; it is {type_name(python)}, not str")
    if nullable == field.is_required():
        raise ContractError(f"field {name!r}: write `X | None = None` if it may be absent, else `X` without a default")
    if _min_length(field) and kind.least_bytes is not None:
        raise ContractError(f"field {name!r} has a smallest length, which only text may have, not {type_name(python)}")
    return Column(
        name=name,
        kind=kind,
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
