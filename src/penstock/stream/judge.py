"""Kafka messages -> records, or the reason why they are none. `DataFrame -> DataFrame`, no I/O, nothing but columns.

`transform` reads what Kafka's source gives and keeps every message: one row in, one row out, never an exception and
never a row of nulls. `good` are the rows of the table, `letter` is what is published of a message.

How a value is judged. Spark's own reader is lenient: `from_json` turns a number into text, drops unknown fields, takes
the last of two equal keys and ignores what follows the object. Two strict witnesses stand beside it:

- A value that `to_json` writes back byte for byte is exactly what the declaration describes. Every value that
  `record.to_bytes` wrote is of that kind, and is read once (docs/decisions/040).
- Any other value is read again as a VARIANT, which keeps the types and refuses equal keys. It ignores what follows the
  value as well, so the value is put in a list that ends in the value's own hash.
"""

from collections.abc import Mapping
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name by which all of Spark knows it

from penstock.pipelines.contract import Column as Field
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import (
    DEEPEST_NESTING,
    LARGEST_VALUE_BYTES,
    LETTER_ID,
    NO_SOURCE_TIME,
    NO_TIMESTAMP_MS,
    VERSION,
    WRITE_TIME_MS,
    Header,
    Reason,
)

ORIGIN = ("topic", "partition", "offset", "timestamp", "timestampType", "key", "value", "headers")
"""Columns of Kafka's source, with `includeHeaders`."""
WRITETIME = "penstock_writetime"
"""Column of what follows: microseconds since 1970, for Cassandra's `USING TIMESTAMP`; see `record.write_time_ms`."""

# "NaN" in quotes is text, not a number: https://spark.apache.org/docs/latest/sql-data-sources-json.html
_READER = {"allowNonNumericNumbers": "false"}
# `from_json` and not `parse_json`, which has no such limit: `schema_of_variant` and the VARIANT's own reader descend
# into themselves, and the stack of an executor ends before Jackson's limit of 1,000. One level is the seal's list.
_VARIANT_READER = {
    "allowNonNumericNumbers": "false",
    "allowSingleQuotes": "false",
    "maxNestingDepth": str(DEEPEST_NESTING + 1),
}
_LOG_APPEND_TIME = 1
"""https://kafka.apache.org/41/javadoc/org/apache/kafka/common/record/TimestampType.html"""
_MESSAGE_LIMIT = 500
"""Characters of a message: it travels as a Kafka header, and names of unknown fields are not ours to bound."""

_NAME_LIMIT = 250
"""Characters of a run's name: Airflow's own limit."""


def transform(messages: DataFrame, pipeline: Pipeline) -> DataFrame:
    """One row for each Kafka message: `record`, `reason`, `message`, `origin` and `WRITETIME`.

    `record` has the pipeline's columns in their declared types, and is to be used only where `reason` is null;
    `reason` is a value of `record.Reason`, `message` says the same for people without any of the record's values;
    `origin` holds Kafka's columns untouched. Of several defects the first one in the order of the declaration counts,
    as in `record.from_bytes`.
    """
    text = F.when(F.octet_length("origin.value") <= LARGEST_VALUE_BYTES, F.col("origin.value").cast("string"))
    canonical = F.coalesce((F.to_json("parsed") == text) & ~_names_repeat(pipeline), F.lit(False))
    variant = F.when(~F.col("canonical"), F.from_json(_sealed(text), "variant", _VARIANT_READER))
    record = F.struct(*(_typed(field).alias(field.name) for field in pipeline.columns))
    problem = F.coalesce(
        _no_source_time(),
        _unknown_version(pipeline),
        _not_an_object(text),
        *map(_field_problem, pipeline.columns),
        _unknown_fields(pipeline),
    )
    # One step each, so that nothing is computed twice: Spark does not merge a step whose result is used more than once.
    return (
        messages.select(F.struct(*ORIGIN).alias("origin"))
        .select("origin", F.from_json(text, _wire_ddl(pipeline), _READER).alias("parsed"))
        .select("origin", "parsed", canonical.alias("canonical"))
        .select("origin", "parsed", "canonical", variant.alias("variant"))
        .select("origin", record.alias("record"), problem.alias("problem"))
        .select(
            *("record", "problem.reason", F.left("problem.message", F.lit(_MESSAGE_LIMIT)).alias("message"), "origin"),
            _written().alias(WRITETIME),
        )
    )


def good(transformed: DataFrame, pipeline: Pipeline | None = None) -> DataFrame:
    """The rows of the table: the record's columns and `WRITETIME`; without records that say that they are deleted."""
    lives = F.col("reason").isNull()
    if pipeline and pipeline.deleted:
        lives &= ~deletes(pipeline)
    return transformed.where(lives).select("record.*", WRITETIME)


def deletes(pipeline: Pipeline) -> Column:
    """Whether a row of `transform` is a good record that says that it is deleted; never null."""
    if not pipeline.deleted:
        return F.lit(False)
    [field] = (each for each in pipeline.cells if each.name == pipeline.deleted)
    value = F.col("record")[field.name]
    said = F.coalesce(value, F.lit(False)) if field.kind.is_flag else value.isNotNull()
    return F.col("reason").isNull() & said


def deletions(transformed: DataFrame, pipeline: Pipeline) -> DataFrame:
    """Messages of records that say that they are deleted: `value`, and `WRITETIME`."""
    return transformed.where(deletes(pipeline)).select(F.col("origin.value").alias("value"), WRITETIME)


def is_replay() -> Column:
    """Whether a row of `transform` replays a dead letter."""
    return _replayed().isNotNull()


def run_and_attempt() -> tuple[Column, Column]:
    """The headers of a row of `transform`, as text that is never null nor longer than a name."""
    return _name(Header.RUN), _name(Header.ATTEMPT)


def item() -> Column:
    """Which item of its run a row of `transform` is, as the ledger counts them."""
    return F.coalesce(F.nullif(_name(Header.ITEM), F.lit("")), message_origin())


def _name(of: Header) -> Column:
    text = F.make_valid_utf8(header(of).cast("string"))
    return F.coalesce(F.left(text, F.lit(_NAME_LIMIT)), F.lit(""))


def resolves() -> Column:
    """Identity of the dead letter that a row of `transform` resolves by being good; null where it resolves none."""
    return F.when(F.col("reason").isNull(), _replayed())


def letter(pipeline: Pipeline) -> Column:
    """The message that a row of `transform` publishes: the dead letter of a rejected one, the resolution that a good
    replay is, or null.

    A dead letter has the original value, null included. Its key is where it came from, so that an epoch done again
    writes the same letters again, and the same resolutions.
    """
    resolution: dict[Header, Column] = {
        Header.PIPELINE: F.lit(pipeline.name),
        Header.RUN: header(Header.RUN),
        Header.RESOLVED: message_origin(),
    }
    dead = _message(pipeline, message_origin(), F.col("origin.value"), _headers(pipeline))
    return F.when(F.col("reason").isNotNull(), dead).when(
        _replayed().isNotNull(), _message(pipeline, _replayed(), F.lit(""), resolution)
    )


def _message(pipeline: Pipeline, key: Column, value: Column, headers: Mapping[Header, Column]) -> Column:
    return F.struct(
        F.lit(pipeline.dead_letter_topic).alias("topic"),
        key.cast("binary").alias("key"),
        value.cast("binary").alias("value"),
        F.array(*(_header(name, value) for name, value in headers.items())).alias("headers"),
    )


def _written() -> Column:
    sent_us = F.unix_micros("origin.timestamp")
    # `least` leaves a null out.
    return F.least(_original_ms() * 1_000, sent_us)


def _original_ms() -> Column:
    """What `Header.WRITE_TIME_MS` says; null where it says nothing that can be read."""
    text = header(Header.WRITE_TIME_MS).cast("string")
    return F.when(text.rlike(rf"^{WRITE_TIME_MS}\z"), text.try_cast("bigint"))


def message_origin() -> Column:
    """The place of a row's message: `topic/partition/offset`."""
    return F.concat_ws("/", "origin.topic", "origin.partition", "origin.offset")


def _replayed() -> Column:
    identity = header(Header.REPLAYS).cast("string")
    return F.when(identity.rlike(rf"^{LETTER_ID}\z"), identity)


def _header(name: Header, value: Column) -> Column:
    """A header of a letter. The sink leaves out those without a value.

    `F.filter` would do that here, but Spark interprets it with all that is in it: a sixth of the executor's time where
    one message of ten is rejected.
    """
    return F.struct(F.lit(name.value).alias("key"), value.cast("binary").alias("value"))


def _headers(pipeline: Pipeline) -> dict[Header, Column]:
    """What the message says of itself, what is wrong with it, and where it came from; null is what is not known."""
    return {
        Header.PIPELINE: F.coalesce(header(Header.PIPELINE), F.lit(pipeline.name).cast("binary")),
        Header.VERSION: F.coalesce(header(Header.VERSION), F.lit(str(pipeline.version)).cast("binary")),
        Header.RUN: header(Header.RUN),
        Header.ITEM: header(Header.ITEM),
        Header.REPLAYS: _replayed(),
        Header.REASON: F.col("reason"),
        Header.MESSAGE: F.col("message"),
        Header.ORIGIN_TOPIC: F.col("origin.topic"),
        Header.ORIGIN_PARTITION: F.col("origin.partition").cast("string"),
        Header.ORIGIN_OFFSET: F.col("origin.offset").cast("string"),
        # Of a replay its original's: the letter itself may be gone when this one is replayed.
        Header.FIRST_SEEN: F.date_format(F.timestamp_micros(WRITETIME), "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"),
    }


def header(name: Header) -> Column:
    """The last header of that name of a row's `origin`, as bytes; null where there is none or it has no value."""
    # Without `F.filter`, whose lambdas Spark interprets: measured, a third of a micro-batch's parsing.
    headers = F.col("origin.headers")
    last = F.array_position(F.reverse(headers["key"]), F.lit(name.value))
    return F.try_element_at(F.reverse(headers["value"]), F.nullif(last, F.lit(0)).cast("int"))


def _sealed(text: Column) -> Column:
    """The value in a list whose second and last item is the value's own hash: text behind the value breaks the seal."""
    return F.concat(F.lit("["), text, F.lit(", "), _seal(text).cast("string"), F.lit("]"))


def _seal(text: Column) -> Column:
    return F.xxhash64(text)


def _no_source_time() -> Column:
    """The problem of a message whose values are of an unknown time; see `record.from_message`."""
    is_brokers = F.col("origin.timestampType") == _LOG_APPEND_TIME
    absent = F.unix_millis("origin.timestamp") == NO_TIMESTAMP_MS
    return F.when(absent | (is_brokers & _original_ms().isNull()), _problem(Reason.UNKNOWN_TIME, NO_SOURCE_TIME))


def _unknown_version(pipeline: Pipeline) -> Column:
    """The problem of a message that another declaration speaks of; see `record.is_known_version`."""
    version = header(Header.VERSION).cast("string")
    known = version.rlike(rf"^{VERSION}\z") & (version.try_cast("bigint") <= pipeline.version)
    message = f"the message's version is none from 1 to {pipeline.version}"
    return F.when((version != "") & ~known, _problem(Reason.UNKNOWN_VERSION, message))


def _not_an_object(text: Column) -> Column:
    """The problem of a value that is no JSON object at all."""
    kind = F.schema_of_variant(F.try_variant_get("variant", "$[0]", "variant"))
    seal = F.try_variant_get("variant", "$[1]", "bigint")
    return (
        F.when(F.col("origin.value").isNull(), _problem(Reason.NO_VALUE, "the message has no value"))
        .when(F.col("canonical"), None)
        .when(text.isNull(), _problem(Reason.INVALID_VALUE, f"the value has more than {LARGEST_VALUE_BYTES} bytes"))
        .when(~F.is_valid_utf8(text), _problem(Reason.NOT_UTF8, "the value is not UTF-8"))
        .when(~seal.eqNullSafe(_seal(text)), _problem(Reason.MALFORMED_JSON, "the value is not one JSON document"))
        .when(~kind.startswith("OBJECT<"), _problem(Reason.NOT_AN_OBJECT, "the value is not an object, but ", kind))
    )


def _field_problem(field: Field) -> Column:
    """The problem of one field. `found` is its JSON type where the value was read as a VARIANT, else null."""
    value = F.col("parsed")[field.name]
    variant = F.try_variant_get("variant", f"$[0].{field.name}", "variant")
    found = F.schema_of_variant(variant)
    readable = value.isNotNull() & found.rlike(f"(?s)^({field.kind.json})$")
    if field.kind.items:
        taken = f"try_variant_get(variant, '$[0].{field.name}', 'variant')"
        readable &= F.expr(field.kind.items.are_text.format(taken))
    allowed = readable if field.required else readable | (found == "VOID")
    wrong = f"{field.name}: is declared as {field.spark}, the value is "
    problem = F.when(found.isNotNull() & ~allowed, _problem(Reason.WRONG_TYPE, wrong, found))
    if field.required:
        problem = problem.when(value.isNull(), _problem(Reason.MISSING_FIELD, f"{field.name}: is required"))
    if field.kind.items:
        null_item = F.expr(field.kind.items.any_null.format(_parsed(field)))
        problem = problem.when(null_item, _problem(Reason.WRONG_TYPE, f"{field.name}: an item is null"))
    for invalid, rule in _rules(field, value):
        problem = problem.when(invalid, _problem(Reason.INVALID_VALUE, f"{field.name}: {rule}"))
    return problem


def _rules(field: Field, value: Column) -> list[tuple[Column, str]]:
    """What a value of the right type can still get wrong, and how to say it."""
    rules: list[tuple[Column, str]] = []
    kind = field.kind
    if kind.form:
        written = value.rlike(rf"^(?:{kind.form.pattern})\z")
        readable = written & _typed(field).isNotNull() if kind.convert else written
        rules.append((value.isNotNull() & ~readable, kind.form.rule))
    if kind.has_infinity:
        rules.append((F.abs(value) == float("inf"), f"does not fit a {kind.cql}"))
    if field.min_length:
        rules.append((F.length(value) < field.min_length, f"has fewer than {field.min_length} characters"))
    if field.max_bytes:
        rules.append((F.octet_length(value) > field.max_bytes, f"has more than {field.max_bytes} bytes"))
    return rules


def _unknown_fields(pipeline: Pipeline) -> Column:
    known = F.array(*(F.lit(field.name) for field in pipeline.columns))
    unknown = F.array_except(F.map_keys(F.try_variant_get("variant", "$[0]", "map<string,variant>")), known)
    names = F.array_join(F.array_sort(unknown), ", ")
    return F.when(F.size(unknown) > 0, _problem(Reason.UNKNOWN_FIELD, "not declared: ", names))


def _problem(reason: Reason, message: str, detail: Column | None = None) -> Column:
    text = F.lit(message) if detail is None else F.concat(F.lit(message), detail)
    return F.struct(F.lit(reason.value).alias("reason"), text.alias("message"))


def _wire_ddl(pipeline: Pipeline) -> str:
    """Types to read JSON with. What is converted stays text until its form is checked; every field may be null."""
    return ", ".join(f"{field.name} {_wire_type(field)}" for field in pipeline.columns)


def _wire_type(field: Field) -> str:
    return "STRING" if field.kind.convert else field.spark


def _typed(field: Field) -> Column:
    kind = field.kind
    return F.expr(kind.convert.format(_parsed(field))) if kind.convert else F.col("parsed")[field.name]


def _parsed(field: Field) -> str:
    """What Spark read of the field, in SQL."""
    return f"parsed.`{field.name}`"


def _names_repeat(pipeline: Pipeline) -> Column:
    """Whether a name stands twice in an object that Spark reads as a map, and writes back as it was."""
    maps = (field for field in pipeline.columns if field.kind.items)
    found = (F.expr(field.kind.items.names_repeat.format(_parsed(field))) for field in maps if field.kind.items)
    return reduce(or_, (F.coalesce(each, F.lit(False)) for each in found), F.lit(False))
