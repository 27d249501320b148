"""One declaration: what is derived from it follows it."""

import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import jsonschema
import pytest
from pydantic import AwareDatetime, Field, ValidationError

from penstock.errors import ContractError
from penstock.pipelines.contract import From, Pipeline, Record, Text
from penstock.pipelines.flags import Is
from penstock.pipelines.project import load_pipeline
from penstock.pipelines.record import Reason, Rejected, from_api, from_bytes, to_bytes
from penstock.pipelines.times import EpochMillis, Format, Iso8601
from penstock.pipelines.types import Int32, IPAddress, JsonText
from penstock.users import USERS, User
from tests.spark.corpus import HOSTILE_TYPES, READINGS

ID = "10cd8b3e-6196-4359-863a-5f09769aa5ad"


class UserWithShoeSize(User):
    """The declaration, and one field more."""

    shoe_size: Annotated[int | None, From("shoes.size"), Field(description="European sizes")] = None


MORE = USERS.model_copy(update={"record": UserWithShoeSize})
VALUE: dict[str, Any] = {"id": ID, "first_name": "Işıl", "last_name": "Ü", "email": "e", "username": "u"}


def declared(**fields: Any) -> Pipeline:
    """The users pipeline with a record of the given annotations beside its key."""
    key = {"id": Annotated[UUID, From("id")]}
    record = type("Declared", (Record,), {"__annotations__": key | fields, "__module__": __name__})
    return USERS.model_copy(update={"record": record})


def test_added_field_is_validated() -> None:
    rejected = from_bytes(MORE, b'{"shoe_size": "big", ' + _json(VALUE)[1:])
    assert isinstance(rejected, Rejected)
    assert rejected.reason is Reason.WRONG_TYPE
    assert "shoe_size" in rejected.message


def test_added_field_is_mapped_from_the_answer_into_the_kafka_value() -> None:
    item = {"login": {"uuid": ID, "username": "u"}, "name": {"first": "a", "last": "b"}, "email": "e"}
    record = from_api(MORE, item | {"shoes": {"size": 43}})
    assert isinstance(record, Record)
    assert b'"shoe_size":43' in to_bytes(record)


def test_added_field_is_in_the_json_schema() -> None:
    validator = jsonschema.Draft202012Validator(MORE.json_schema())
    validator.validate(VALUE | {"shoe_size": 43})
    assert not validator.is_valid(VALUE | {"shoe_size": "big"})


def test_added_field_is_in_the_spark_schema() -> None:
    assert MORE.spark_ddl().endswith(", shoe_size BIGINT")


def test_added_field_is_in_the_table() -> None:
    assert "    shoe_size bigint\n)" in MORE.create_table()


def test_added_field_is_in_the_documentation() -> None:
    assert "| `shoe_size` | bigint | no | `shoes.size` | European sizes |" in MORE.markdown_table()


def test_copy_with_more_fields_leaves_the_declaration_alone() -> None:
    assert [column.name for column in MORE.columns] == [*(column.name for column in USERS.columns), "shoe_size"]


def test_declares_the_fields_of_the_mission_in_their_order() -> None:
    names = "id first_name last_name gender address post_code email username registered_date phone picture"
    assert [column.name for column in USERS.columns] == names.split()


def test_creates_the_table_of_the_mission() -> None:
    table = USERS.create_table()
    assert table.startswith("CREATE TABLE IF NOT EXISTS spark_streams.created_users (\n    id uuid PRIMARY KEY,\n")
    assert table.count(" text") == 10


def test_a_user_fits_the_json_schema() -> None:
    record = from_bytes(USERS, _json(VALUE))
    assert isinstance(record, Record)
    jsonschema.Draft202012Validator(USERS.json_schema()).validate(record.model_dump(mode="json"))


def test_json_schema_refuses_unknown_fields() -> None:
    assert not jsonschema.Draft202012Validator(USERS.json_schema()).is_valid(VALUE | {"dob": "1946"})


@pytest.mark.parametrize(
    ("python", "cql", "spark"),
    [
        (UUID, "uuid", "STRING"),
        (str, "text", "STRING"),
        (int, "bigint", "BIGINT"),
        (float, "double", "DOUBLE"),
        (bool, "boolean", "BOOLEAN"),
        (datetime, "timestamp", "TIMESTAMP"),
        (AwareDatetime, "timestamp", "TIMESTAMP"),
        (Int32, "int", "INT"),
        (Decimal, "decimal", "STRING"),
        (date, "date", "STRING"),
        (IPAddress, "inet", "STRING"),
        (bytes, "blob", "BINARY"),
        (list[str], "frozen<list<text>>", "ARRAY<STRING>"),
        (set[str], "frozen<set<text>>", "ARRAY<STRING>"),
        (dict[str, str], "frozen<map<text, text>>", "MAP<STRING, STRING>"),
        (JsonText, "text", "STRING"),
    ],
)
def test_each_type_has_one_column_type(python: Any, cql: str, spark: str) -> None:
    column = declared(x=Annotated[python, From("x")]).columns[1]
    assert (column.cql, column.spark, column.required) == (cql, spark, True)


def test_length_of_text_is_known_to_the_column() -> None:
    assert declared(x=Annotated[Text, From("x")]).columns[1].min_length == 1


@pytest.mark.parametrize("field", ["price", "host", "raw", "steps", "tags", "labels", "shape"])
def test_json_schema_says_what_is_a_good_value_of_a_type(field: str) -> None:
    validator = jsonschema.Draft202012Validator(READINGS.json_schema())
    names = [name for name in HOSTILE_TYPES if name.startswith(f"{field} of ") and "\\n" not in name]
    good = {name for name in names if isinstance(from_bytes(READINGS, HOSTILE_TYPES[name]), Record)}
    readable = {name for name in names if "NaN" not in name or f"{field} of NaN" == name}
    assert {name for name in readable if validator.is_valid(json.loads(HOSTILE_TYPES[name]))} == good
    assert good


def _without_origin() -> Pipeline:
    return declared(x=str)


def _without_column_type() -> Pipeline:
    return declared(x=Annotated[list[int], From("x")])


def _form_of_time_for_text() -> Pipeline:
    return declared(x=Annotated[str, From("x", form=EpochMillis())])


def _shortest_list() -> Pipeline:
    return declared(x=Annotated[list[str], From("x"), Field(min_length=1)])


def _flag_that_is_text() -> Pipeline:
    return declared(x=Annotated[str, From("x", form=Is("deleted"))])


def _no_zone() -> Pipeline:
    return declared(x=Annotated[datetime, From("x", form=Iso8601(zone="Mars/Olympus"))])


def _no_format() -> Pipeline:
    return declared(x=Annotated[datetime, From("x", form=Format("%Q"))])


def _nullable_without_default() -> Pipeline:
    return declared(x=Annotated[str | None, From("x")])


def _template_of_a_number() -> Pipeline:
    return declared(x=Annotated[int, From("{a} {b}")])


def _template_with_a_format() -> Pipeline:
    return declared(x=Annotated[str, From("{a:03d}")])


def _unbalanced_template() -> Pipeline:
    return declared(x=Annotated[str, From("{a")])


def _name_that_cassandra_would_change() -> Pipeline:
    return declared(postCode=Annotated[str, From("x")])


def _reserved_word_of_cql() -> Pipeline:
    return declared(order=Annotated[str, From("x")])


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (_reserved_word_of_cql, "field 'order' is a reserved word of CQL"),
        (_without_origin, "'x' does not say where it comes from"),
        (_without_column_type, "no column type; allowed: UUID, str, int"),
        (_form_of_time_for_text, "'x' has a form of time, and its type is str, not datetime, date"),
        (_flag_that_is_text, "'x' has the form of a flag, and its type is str, not bool"),
        (_shortest_list, "'x' has a smallest length, which only text may have, not list"),
        (_no_zone, "'Mars/Olympus' is no zone"),
        (_no_format, "'%Q'. is no format of strptime"),
        (_nullable_without_default, "X | None = None"),
        (_template_of_a_number, "it is int, not str"),
        (_template_with_a_format, "no formats"),
        (_unbalanced_template, "is no template"),
        (_name_that_cassandra_would_change, "'postCode'"),
    ],
)
def test_refuses_a_declaration_that_contradicts_itself(declare: Callable[[], Pipeline], said: str) -> None:
    with pytest.raises(ContractError, match=said.replace("|", r"\|")):
        _ = declare().columns


def test_refuses_a_key_that_may_be_absent() -> None:
    fields = {name: getattr(USERS, name) for name in Pipeline.model_fields}
    with pytest.raises(ContractError, match="key 'phone' is not a required field of User"):
        Pipeline(**fields | {"key": "phone"})


@pytest.mark.parametrize("place", ["table", "keyspace"])
def test_refuses_a_reserved_word_of_cql_as_a_name(place: str) -> None:
    fields = {name: getattr(USERS, name) for name in Pipeline.model_fields}
    with pytest.raises(ContractError, match="'batch' is a reserved word of CQL: give it another name"):
        Pipeline(**fields | {place: "batch"})


def test_loads_a_pipeline_by_its_name() -> None:
    assert load_pipeline("penstock.users:USERS") is USERS


@pytest.mark.parametrize("reference", ["penstock.users:NOBODY", "no_such_module:X", "penstock.users", "", ":X"])
def test_unknown_pipeline_says_how_to_name_one(reference: str) -> None:
    with pytest.raises(ContractError, match=r"Give module:NAME, e\.g\. penstock\.users:USERS"):
        load_pipeline(reference)


@pytest.mark.parametrize("text", ["X = (", "1 / 0", "import no_such_module", "raise TypeError('x')"])
def test_a_module_that_cannot_be_imported_is_named_with_its_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    name = f"declared_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    named = rf"no pipeline at '{name}:X': {re.escape(str(tmp_path))}/{name}\.py:1: (SyntaxError|Zero|Module|TypeError)"
    with pytest.raises(ContractError, match=named):
        load_pipeline(f"{name}:X")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('X = From("{").template', "From('{') is no template"),
        ('X = Source("https://a", "rows", ndjson=True)', "a source of NDJSON has its items at the root"),
        ("X = Pipeline(name='orders')", "Pipeline: version: Field required; record: Field required"),
    ],
)
def test_a_declaration_that_is_not_sound_is_named_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, says: str
) -> None:
    name = f"unsound_{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text(f"from penstock import From, Pipeline, Source\n{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ContractError) as refused:
        load_pipeline(f"{name}:X")
    assert str(refused.value).startswith(f"{tmp_path}/{name}.py:2: {says}")


def test_refuses_to_load_what_is_no_pipeline() -> None:
    with pytest.raises(ContractError, match=r"is a ModelMetaclass, not a penstock\.Pipeline"):
        load_pipeline("penstock.users:User")


def test_a_record_cannot_be_changed() -> None:
    record = from_bytes(USERS, _json(VALUE))
    with pytest.raises(ValidationError, match="frozen"):
        record.email = "other"  # type: ignore[misc, union-attr] - that it is refused is the point


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def made(**changes: Any) -> str:
    fields = {name: getattr(USERS, name) for name in Pipeline.model_fields}
    return Pipeline(**fields | changes).create_table()


def test_options_of_a_table_are_named_as_in_cql() -> None:
    compaction = {"class": "TimeWindowCompactionStrategy", "compaction_window_size": 1}
    options = {"compaction": compaction, "gc_grace_seconds": 60, "comment": "it's ours", "cdc": False}
    assert made(options=options).endswith(
        ") WITH compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_size': 1}\n"
        "    AND gc_grace_seconds = 60\n    AND comment = 'it''s ours'\n    AND cdc = false"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"gc_grace": 60}}, "'gc_grace' is unknown; there are: .*gc_grace_seconds"),
        ({"options": {"comment": None}}, "'comment' is None"),
        ({"deleted": "id"}, "deleted='id' is no field beside the key that may be absent"),
        ({"deleted": "email"}, "deleted='email' is no field"),
        ({"deleted": "deletd"}, "deleted='deletd' is no field"),
        ({"ttl": timedelta(0)}, "ttl 0:00:00 is not a number of whole seconds from 1 to 7300 days"),
        ({"ttl": timedelta(seconds=1.5)}, "whole seconds"),
        ({"ttl": timedelta(days=8_000)}, "to 7300 days"),
    ],
)
def test_refuses_what_a_table_cannot_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        made(**changes)


@pytest.mark.parametrize(
    ("kind", "taken"), [(Int32, False), (str, False), (JsonText, False), (Text, True), (date, True)]
)
def test_deleted_is_no_field_of_which_an_empty_value_would_remove_rows(kind: Any, taken: bool) -> None:
    record = type("Item", (User,), {"__annotations__": {"gone": Annotated[kind | None, From("gone")]}, "gone": None})
    if taken:
        assert made(record=record, deleted="gone")
        return
    with pytest.raises(ContractError, match=r"an API sends 0 or an empty text.*form=Is\(1\)"):
        made(record=record, deleted="gone")
