"""One record on its way: an item of the API's answer -> Record | Rejected, and Record <-> the bytes of a Kafka value.

Pure: no clients, no clocks, no randomness.
"""

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from penstock.contract import Column, From, Pipeline, Record


class Reason(StrEnum):
    """Why something is not a record. The list is closed: every dead letter carries one of these."""

    NO_VALUE = "no_value"
    NOT_UTF8 = "not_utf8"
    MALFORMED_JSON = "malformed_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"
    INVALID_VALUE = "invalid_value"


class Header(StrEnum):
    """Names of the Kafka headers, all values UTF-8 text. The first three stand on every message of a pipeline.

    A dead letter's value is the original bytes; its key is its origin (`topic/partition/offset` or `run/url#index`),
    so the same origin rejected again is the same letter. `ITEM` stands on all that ingest publishes: which item of its
    run it is (`page/index`), the same when a retry publishes it again.
    """

    PIPELINE = "penstock.pipeline"
    VERSION = "penstock.version"
    RUN = "penstock.run"
    ITEM = "penstock.item"
    REASON = "penstock.reason"
    MESSAGE = "penstock.message"
    ORIGIN_TOPIC = "penstock.origin.topic"
    ORIGIN_PARTITION = "penstock.origin.partition"
    ORIGIN_OFFSET = "penstock.origin.offset"
    ORIGIN_URL = "penstock.origin.url"
    ORIGIN_INDEX = "penstock.origin.index"
    FIRST_SEEN = "penstock.first-seen"


@dataclass(frozen=True)
class Rejected:
    """What could not become a record: why, for people too, and the original bytes unchanged."""

    reason: Reason
    message: str
    original: bytes


def from_api(pipeline: Pipeline, item: Any) -> Record | Rejected:
    """The record that one item of the API's answer declares itself to be, or why it is none."""
    original = canonical_json(item)
    if not isinstance(item, Mapping):
        return Rejected(Reason.NOT_AN_OBJECT, f"an item is an object, not {type(item).__name__}", original)
    values: dict[str, Any] = {}
    for column in pipeline.columns:
        try:
            value = _take(column.origin, item)
        except _PartsMissingError as error:
            return Rejected(Reason.MISSING_FIELD, f"{column.name}: {error}", original)
        if value is not None:
            values[column.name] = value
    # Through JSON text, so that exactly what Kafka will carry is what is checked.
    checked = from_bytes(pipeline, canonical_json(values))
    if isinstance(checked, Rejected):
        return Rejected(checked.reason, _with_origin(pipeline.columns, checked.message), original)
    return checked


def to_bytes(record: Record) -> bytes:
    """The Kafka value: compact UTF-8 JSON in the order of the declaration, absent fields left out."""
    return record.model_dump_json(exclude_none=True).encode()


def from_bytes(pipeline: Pipeline, value: bytes | None) -> Record | Rejected:
    """The record that a Kafka value holds, or why it holds none."""
    if value is None:
        return Rejected(Reason.NO_VALUE, "the message has no value", b"")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        return Rejected(Reason.NOT_UTF8, str(error), value)
    try:
        return pipeline.record.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        reason = _reason(problem["type"])
        return Rejected(reason, f"{field}: {problem['msg']}" if field else problem["msg"], value)


def canonical_json(value: Any) -> bytes:
    """Compact UTF-8 JSON; lone surrogates, which UTF-8 cannot carry, stay escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


class _PartsMissingError(Exception):
    """Some parts of a template are there and others are not."""


def _take(origin: From, item: Mapping[str, Any]) -> Any:
    paths = [name for _, name, _, _ in string.Formatter().parse(origin.path) if name is not None]
    if not paths:
        return at_path(item, origin.path)
    parts = {path: at_path(item, path) for path in paths}
    absent = [path for path, part in parts.items() if part is None]
    if len(absent) == len(parts):
        return None
    if absent:
        raise _PartsMissingError(f"{', '.join(absent)} absent, while other parts of {origin.path!r} are there")
    odd = next((part for part in parts.values() if isinstance(part, bool) or not isinstance(part, (str, int))), None)
    if odd is not None:
        return odd
    return "".join(
        literal + (str(parts[name]) if name is not None else "")
        for literal, name, _, _ in string.Formatter().parse(origin.path)
    )


def at_path(item: Any, path: str) -> Any:
    """What stands at a dotted path of nested objects; None where the path ends early."""
    for part in path.split("."):
        if not isinstance(item, Mapping):
            return None
        item = item.get(part)
    return item


def _reason(kind: str) -> Reason:
    # Pydantic's closed list of error types: https://docs.pydantic.dev/latest/errors/validation_errors/
    if kind == "missing":
        return Reason.MISSING_FIELD
    if kind == "extra_forbidden":
        return Reason.UNKNOWN_FIELD
    if kind == "json_invalid":
        return Reason.MALFORMED_JSON
    if kind == "model_type":
        return Reason.NOT_AN_OBJECT
    return Reason.WRONG_TYPE if kind.endswith("_type") else Reason.INVALID_VALUE


def _with_origin(columns: tuple[Column, ...], message: str) -> str:
    name = message.partition(":")[0]
    origin = next((column.origin.path for column in columns if column.name == name), None)
    return f"{message} (from {origin!r} of the API's answer)" if origin else message
