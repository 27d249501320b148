"""Which row a record is, and whether it removes it: the values of its key, also as text for messages and people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.pipelines.contract import Column, Pipeline, Record


def key_of(pipeline: Pipeline, record: Record) -> Any:
    """The record's key as its row has it: of several columns the tuple of their values, in the order of the key."""
    return _one(tuple(column.kind.as_key(getattr(record, column.name)) for column in pipeline.key_columns))


def key_of_row(pipeline: Pipeline, values: Mapping[str, Any]) -> Any:
    """The key of a row, from its values by column; equal to that of its record."""
    return _one(tuple(values[column.name] for column in pipeline.key_columns))


def key_text(key: Any) -> str:
    """A key for people: the value as text; of several columns a JSON list of texts, by which it can be searched."""
    return _listed(key) if isinstance(key, tuple) else str(key)


def is_deleted(pipeline: Pipeline, record: Record) -> bool:
    """Whether the record says that its row is to be removed."""
    value = getattr(record, pipeline.deleted) if pipeline.deleted else None
    return value is not None and value is not False


def message_key(pipeline: Pipeline, record: Record) -> bytes:
    """The key of the record's message: its partition key. Kafka keeps the order of messages that have one key."""
    values = (column.kind.as_key(getattr(record, column.name)) for column in pipeline.key_columns)
    return key_text(_one(tuple(values)[: len(pipeline.keys.partition)])).encode()


def read_key(pipeline: Pipeline, text: str) -> Any:
    """The key that the text names, see `key_text`; None where it names none."""
    columns = pipeline.key_columns
    try:
        texts = json.loads(text) if len(columns) > 1 else [text]
        if not isinstance(texts, list) or len(texts) != len(columns):
            return None
        values = tuple(_read(column, each) for column, each in zip(columns, texts, strict=True))
    except (ValueError, RecursionError):
        return None
    return None if None in values else _one(values)


def read_beginning(pipeline: Pipeline, texts: Sequence[str]) -> tuple[Any, ...]:
    """The values of the key's first columns, each as people write it; or of all, of a whole key as `key_text` shows it.

    None of them is a beginning too; else the partition is the least of which rows can be found.

    Raises:
        ValueError: a column is missing, or a text is no value of its column; says which.
    """
    columns, least = pipeline.key_columns, len(pipeline.keys.partition)
    if len(texts) == 1 and len(columns) > 1 and (whole := read_key(pipeline, texts[0])) is not None:
        return tuple(whole)
    if texts and not least <= len(texts) <= len(columns):
        partition, names = ", ".join(pipeline.keys.partition), ", ".join(pipeline.keys.names)
        raise ValueError(f"the key is {names}, of which at least {partition} must be said; {len(texts)} came")
    return tuple(_read_or_refuse(column, text) for column, text in zip(columns, texts, strict=False))


def _read_or_refuse(column: Column, text: str) -> Any:
    try:
        value = _read(column, text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no {column.cql}, which {column.name} is: {error}") from error
    if value is None:
        raise ValueError(f"{column.name} is a {column.cql}, which cannot be searched for")
    return value


def _read(column: Column, text: Any) -> Any:
    return column.kind.from_text(text) if column.kind.from_text and isinstance(text, str) else None


def _one(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def _listed(values: tuple[Any, ...]) -> str:
    return json.dumps([str(value) for value in values], ensure_ascii=False)
