"""One record on its way: an item of the API's answer -> Record | Rejected, and Record <-> the bytes of a Kafka value.

Pure: no clients, no clocks, no randomness.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from hashlib import sha256
from itertools import takewhile
from typing import Any, NoReturn, get_origin

from pydantic import ValidationError
from pydantic_core import to_json

from penstock.pipelines.contract import Column, Pipeline, Record, columns_of
from penstock.pipelines.keys import Key
from penstock.pipelines.taking import PartsMissingError, takers
from penstock.pipelines.types import plain_type
from penstock.source.body import json_text
from penstock.source.places import came, kind_came


class Reason(StrEnum):
    """Why something is not a record. The list is closed: every dead letter carries one of these."""

    UNKNOWN_TIME = "unknown_time"
    UNKNOWN_VERSION = "unknown_version"
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

    A dead letter's value is the original bytes; its key is its origin (`topic/partition/offset`, or for ingest's
    `run/url#page/index`), so the same origin rejected again is the same letter. `ITEM` stands on all that ingest
    publishes: which item of its run it is (`page/index`), the same when a retry publishes it again; `ATTEMPT` says
    which attempt of the run it was.

    A replay of a letter says in `REPLAYS` which one (`letter_id`), and in `WRITE_TIME_MS` when its original was sent. A
    message of the dead letters with `RESOLVED` is no letter: it says that the letter which is its key was resolved, and
    by which message, or by whose decision (`DISMISSAL`), with the reason in `MESSAGE`.
    """

    PIPELINE = "penstock.pipeline"
    VERSION = "penstock.version"
    RUN = "penstock.run"
    ITEM = "penstock.item"
    ATTEMPT = "penstock.attempt"
    REASON = "penstock.reason"
    MESSAGE = "penstock.message"
    ORIGIN_TOPIC = "penstock.origin.topic"
    ORIGIN_PARTITION = "penstock.origin.partition"
    ORIGIN_OFFSET = "penstock.origin.offset"
    ORIGIN_URL = "penstock.origin.url"
    ORIGIN_INDEX = "penstock.origin.index"
    FIRST_SEEN = "penstock.first-seen"
    REPLAYS = "penstock.replays"
    WRITE_TIME_MS = "penstock.write-time-ms"
    RESOLVED = "penstock.resolved"


DISMISSAL = "dismissal"
"""Value of `Header.RESOLVED` where people decided that a letter needs no replay."""
LETTER_ID = "[0-9a-f]{64}"
"""What the whole of `Header.REPLAYS` matches, else it is ignored."""
WRITE_TIME_MS = "[0-9]{1,15}"
"""The same for `Header.WRITE_TIME_MS`."""
NO_TIMESTAMP_MS = -1
"""Kafka's `RecordBatch.NO_TIMESTAMP`, which producers may send."""
NO_SOURCE_TIME = (
    "the message does not say when its values were true: its timestamp is the broker's "
    f"(message.timestamp.type=LogAppendTime) or absent, and it has no header {Header.WRITE_TIME_MS}"
)
"""What is wrong with a message of `Reason.UNKNOWN_TIME`."""
VERSION = "[1-9][0-9]{0,8}"
"""What the whole of `Header.VERSION` matches, else the version is unknown."""


def letter_id(key: bytes | None, value: bytes | None) -> str:
    """The identity of a dead letter: where it came from, which is its key, and its bytes.

    The bytes are part of it because offsets begin anew in a topic that is made again.
    """
    return sha256((key or b"") + (b"" if value is None else b"\0" + value)).hexdigest()


def replayed_letter(headers: Mapping[str, str]) -> str | None:
    """Identity of the letter that a message with these headers replays, if it replays one."""
    identity = headers.get(Header.REPLAYS, "")
    return identity if re.fullmatch(LETTER_ID, identity) else None


def write_time_ms(headers: Mapping[str, str], timestamp_ms: int) -> int:
    """When the values of a message were true, and so the write time of its row, in milliseconds since 1970.

    That is the message's timestamp, but for a replay its original's: what arrived since then is newer.
    """
    original = headers.get(Header.WRITE_TIME_MS, "")
    return min(int(original), timestamp_ms) if re.fullmatch(WRITE_TIME_MS, original) else timestamp_ms


DEEPEST_NESTING = 100
"""Objects and lists within each other, the outermost counted. What is deeper is no JSON for us: readers that descend
into themselves, Spark's among them, end with their whole process on a few hundred."""
LONGEST_NUMBER, LONGEST_NAME = 1_000, 50_000
"""Digits and characters. What is longer is no JSON for Jackson, which Spark reads with, and so for nobody here.

https://github.com/FasterXML/jackson-core/blob/2.21/src/main/java/com/fasterxml/jackson/core/StreamReadConstraints.java
"""
LARGEST_VALUE_BYTES = 4 * 1024 * 1024
"""A larger Kafka value is no record. Reading one takes Spark some twenty times its size: docs/decisions/042."""


@dataclass(frozen=True)
class Rejected:
    """A value that is no record: the reason, a message for people, and the original bytes unchanged."""

    reason: Reason
    message: str
    original: bytes


@dataclass(frozen=True)
class _Problem:
    reason: Reason
    message: str


def from_api(pipeline: Pipeline, item: Any) -> Record | Rejected:
    """The record that one item of the API's answer declares itself to be, or why it is none."""
    if not isinstance(item, Mapping):
        message = f"an item is an object, not {type(item).__name__}"
        return Rejected(Reason.NOT_AN_OBJECT, message, canonical_json(item))
    values: dict[str, Any] = {}
    for column, name, take, has_form in takers(pipeline.record, pipeline.keys):
        try:
            value = take(item)
        except PartsMissingError as error:
            return Rejected(Reason.MISSING_FIELD, f"{name}: {error}", canonical_json(item))
        if value is not None:
            values[name] = _in_its_form(column, value) if has_form else value
    # Through JSON text, so that exactly what Kafka will carry is what is checked.
    text = _quick_json(values)
    checked = _too_large(text) or _checked(pipeline, text, values)
    if isinstance(checked, _Problem):
        return Rejected(
            checked.reason, _with_origin(pipeline.columns, checked.message, values, item), canonical_json(item)
        )
    return checked


def _in_its_form(column: Column, value: Any) -> Any:
    """The API's value in the one form that messages have; what cannot be read stays as it is, and is judged as that."""
    if column.origin.form:
        moment = column.origin.form(value)
        value = value if moment is None else moment
    return column.kind.from_item(value) if column.kind.from_item else value


def to_bytes(record: Record) -> bytes:
    """The Kafka value: compact UTF-8 JSON in the order of the declaration, absent fields left out, sets sorted."""
    unordered = _sets(type(record))
    if not unordered:
        return record.model_dump_json(exclude_none=True).encode()
    values = record.model_dump(mode="json", exclude_none=True)
    return to_json({name: sorted(value) if name in unordered else value for name, value in values.items()})


@cache
def _sets(record: type[Record]) -> frozenset[str]:
    """The fields that are sets."""
    fields = record.model_fields.items()
    return frozenset(
        name for name, field in fields if get_origin(plain_type(field.annotation, field.metadata)[0]) is set
    )


def is_known_version(pipeline: Pipeline, version: str | None) -> bool:
    """Whether a message with this `Header.VERSION` may be judged by the declaration.

    An older version may: what no longer fits is rejected for that. A newer one may not, as its values could mean
    something else. A message that says nothing is taken for what the declaration says.
    """
    return not version or (bool(re.fullmatch(VERSION, version)) and int(version) <= pipeline.version)


def from_bytes(pipeline: Pipeline, value: bytes | None, version: str | None = None) -> Record | Rejected:
    """The record that a Kafka value holds, or why it holds none; `version` is the message's header of that name.

    Stricter than JSON where JSON lets two readers see two things: a key that stands twice is malformed, and so are NaN
    and Infinity; a UUID has its 36 characters, and a time says its zone. Limits: see `DEEPEST_NESTING` and its
    neighbours.
    """
    judged = _judged(pipeline, value, version)
    return Rejected(judged.reason, judged.message, value or b"") if isinstance(judged, _Problem) else judged


def from_message(
    pipeline: Pipeline, value: bytes | None, headers: Mapping[str, str], timestamp_ms: int, *, is_brokers: bool
) -> Record | Rejected:
    """As `from_bytes`, of a message, which must also say when its values were true: by its timestamp, or where that is
    the broker's (`is_brokers`, by the topic's `message.timestamp.type=LogAppendTime`) by `Header.WRITE_TIME_MS`.

    That comes first: whatever else is wrong with a message, a replay of its letter would need the time too.
    """
    tells = re.fullmatch(WRITE_TIME_MS, headers.get(Header.WRITE_TIME_MS, ""))
    if timestamp_ms == NO_TIMESTAMP_MS or (is_brokers and not tells):
        return Rejected(Reason.UNKNOWN_TIME, NO_SOURCE_TIME, value or b"")
    return from_bytes(pipeline, value, headers.get(Header.VERSION))


def _judged(pipeline: Pipeline, value: bytes | None, version: str | None) -> Record | _Problem:
    if not is_known_version(pipeline, version):
        return _Problem(Reason.UNKNOWN_VERSION, f"the message's version is none from 1 to {pipeline.version}")
    if value is None:
        return _Problem(Reason.NO_VALUE, "the message has no value")
    return _too_large(value) or _read(pipeline, value)


def _read(pipeline: Pipeline, value: bytes) -> Record | _Problem:
    try:
        text = value.decode("utf-8")
        parsed = _READER.decode(text)
    except UnicodeDecodeError as error:
        return _Problem(Reason.NOT_UTF8, str(error))
    except (ValueError, RecursionError) as error:
        return _Problem(Reason.MALFORMED_JSON, f"not JSON: {error}")
    checked = _checked(pipeline, text, parsed)
    # Looked at only now, as no record is deep.
    if isinstance(checked, _Problem) and is_beyond_limits(parsed):
        limits = f"nested deeper than {DEEPEST_NESTING}, or a name longer than {LONGEST_NAME} characters"
        return _Problem(Reason.MALFORMED_JSON, limits)
    return checked


def is_beyond_limits(parsed: Any) -> bool:
    """Whether parsed JSON is nested deeper than `DEEPEST_NESTING` or has a name longer than `LONGEST_NAME`.

    Descends level by level, not into itself.
    """
    level = [parsed]
    for _ in range(DEEPEST_NESTING):
        if any(len(name) > LONGEST_NAME for part in level if isinstance(part, dict) for name in part):
            return True
        level = [child for part in level for child in _children(part) if isinstance(child, (dict, list))]
        if not level:
            return False
    return True


def _children(part: Any) -> Iterable[Any]:
    if isinstance(part, dict):
        return part.values()
    return part if isinstance(part, list) else ()


def canonical_json(value: Any) -> bytes:
    """Compact UTF-8 JSON, numbers as the API wrote them; lone surrogates, which UTF-8 cannot carry, stay escaped."""
    try:
        return json_text(value).encode()
    except UnicodeEncodeError:
        return json_text(value, ensure_ascii=True).encode()


def _quick_json(value: Any) -> bytes:
    """The same as `canonical_json` for a reader, in a quarter of its time."""
    try:
        return to_json(value)
    except ValueError:  # what only Python writes, e.g. lone surrogates
        return canonical_json(value)


def _too_large(value: bytes) -> _Problem | None:
    if len(value) <= LARGEST_VALUE_BYTES:
        return None
    return _Problem(Reason.INVALID_VALUE, f"the value has {len(value)} bytes, {LARGEST_VALUE_BYTES} are allowed")


def _checked(pipeline: Pipeline, text: str | bytes, parsed: Any) -> Record | _Problem:
    """The record, or the first problem in the order of the declaration; unknown fields come last."""
    try:
        record = pipeline.record.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        found = _Problem(_reason(problem["type"]), f"{field}: {problem['msg']}" if field else problem["msg"])
        before = takewhile(lambda column: column.name != problem["loc"][0], pipeline.columns) if problem["loc"] else ()
        return _misformed(before, parsed) or found
    return _misformed(_bound(pipeline.record, pipeline.keys), parsed) or record


def _misformed(columns: Iterable[Column], parsed: Mapping[str, Any]) -> _Problem | None:
    """The first value that is right for pydantic but has another form than is agreed."""
    for column in columns:
        kind, value = column.kind, parsed.get(column.name)
        if kind.form and value is not None and not isinstance(value, str):
            return _Problem(Reason.WRONG_TYPE, f"{column.name}: {kind.form.rule}")
        if kind.form and value is not None and not kind.form.holds(value):
            return _Problem(Reason.INVALID_VALUE, f"{column.name}: {kind.form.rule}")
        if value is not None and kind.fits and not kind.fits(value):
            return _Problem(Reason.WRONG_TYPE, f"{column.name}: is declared as {kind.cql}, which cannot hold the value")
        if column.max_bytes and not 0 < len(parsed[column.name].encode()) <= column.max_bytes:
            return _Problem(Reason.INVALID_VALUE, f"{column.name}: a key has 1 to {column.max_bytes} bytes")
    return None


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _short(number: str) -> str:
    # As Jackson counts: digits, those of the exponent too, but not a lone zero before a fraction or an exponent.
    if len(number) > LONGEST_NUMBER and len(_NO_DIGITS.sub("", number)) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(number)} characters")
    return number


_NO_DIGITS = re.compile(r"^-?0(?=\.[0-9]*$|[eE])|[^0-9]", re.ASCII)


_READER = json.JSONDecoder(
    object_pairs_hook=_unrepeated,
    parse_constant=_refuse_constant,
    parse_int=lambda number: int(_short(number)),
    parse_float=lambda number: float(_short(number)),
)


@cache
def _bound(record: type[Record], key: Key) -> tuple[Column, ...]:
    """The columns of which more is agreed than what pydantic checks."""
    return tuple(column for column in columns_of(record, key) if column.is_bound)


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


def _with_origin(columns: tuple[Column, ...], message: str, values: Mapping[str, Any], item: Any) -> str:
    """The message with where the value should have stood, and what stood there: its kind, not the value."""
    name = message.partition(":")[0].partition(".")[0]
    found = kind_came(values[name]) if name in values else f"nothing: {came(item, 'the item')}"
    paths = (column.origin.path for column in columns if column.name == name)
    return next((f"{message} (from {path!r} of the API's answer, where there is {found})" for path in paths), message)
