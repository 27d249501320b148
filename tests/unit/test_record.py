"""An item of the API becomes a record or a rejection; a record and its bytes are the same thing."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import Int32, IPAddress, JsonText
from penstock.pipelines.contract import Column, From, Record
from penstock.pipelines.record import Reason, Rejected, from_api, from_bytes, to_bytes
from penstock.pipelines.types import TYPES
from penstock.users import USERS, User
from tests.quakes import QUAKES, Quake

ANSWER = Path(__file__).parents[1] / "data" / "randomuser-1.4.json"
ID = "10cd8b3e-6196-4359-863a-5f09769aa5ad"
GOOD: dict[str, Any] = {"id": ID, "first_name": "Işıl", "last_name": "Ü", "email": "e", "username": "u"}


class Reading(Record):
    """A record with text, numbers, a truth value and a time."""

    id: Annotated[UUID, From("id")]
    text: Annotated[str | None, From("text")] = None
    whole: Annotated[int | None, From("whole")] = None
    real: Annotated[float | None, From("real")] = None
    yes: Annotated[bool | None, From("yes")] = None
    at: Annotated[datetime | None, From("at")] = None


class Braces(Record):
    """A record with a text that has braces of its own."""

    id: Annotated[UUID, From("id")]
    text: Annotated[str | None, From("{{{a.b}}} {c}")] = None


class Tag(Record):
    """A record whose key is text, of any length as far as its type says."""

    tag: Annotated[str, From("tag")]
    whole: Annotated[int | None, From("whole")] = None


TAGS = USERS.model_copy(update={"record": Tag, "key": "tag"})
READINGS = USERS.model_copy(update={"record": Reading})


def person(**changes: Any) -> dict[str, Any]:
    """The first person of the real answer, with other values at its top level."""
    item: dict[str, Any] = json.loads(ANSWER.read_text("utf-8"))["results"][0]
    return item | changes


def value(**changes: Any) -> bytes:
    """A good Kafka value, with other fields; None leaves one out."""
    return json.dumps({name: given for name, given in (GOOD | changes).items() if given is not None}).encode()


def user(item: Any) -> User:
    record = from_api(USERS, item)
    assert isinstance(record, User), record
    return record


def rejection(outcome: Record | Rejected) -> Rejected:
    assert isinstance(outcome, Rejected), outcome
    return outcome


# --- from the API ---


def test_every_person_of_the_real_answer_is_a_user() -> None:
    people = json.loads(ANSWER.read_text("utf-8"))["results"]
    assert [str(user(item).id) for item in people] == [item["login"]["uuid"] for item in people]


def test_address_is_one_line() -> None:
    assert user(person()).address == "5333 Maçka Cd, Çanakkale, Bartın, Turkey"


@pytest.mark.parametrize(("given", "kept"), [(48112, "48112"), ("0770", "0770"), ("X4P 6W6", "X4P 6W6"), (None, None)])
def test_post_code_is_text_whatever_the_country(given: int | str | None, kept: str | None) -> None:
    item = person()
    item["location"]["postcode"] = given
    assert user(item).post_code == kept


def test_absent_values_stay_unset_in_the_kafka_value() -> None:
    sent = json.loads(to_bytes(user(person(phone=None, location=None))))
    assert not {"phone", "address", "post_code"} & sent.keys()


def test_half_an_address_is_rejected() -> None:
    item = person()
    del item["location"]["city"]
    rejected = rejection(from_api(USERS, item))
    assert rejected.reason is Reason.MISSING_FIELD
    assert rejected.message.startswith("address: location.city absent")


def test_rejects_user_without_email() -> None:
    item = person()
    del item["email"]
    rejected = rejection(from_api(USERS, item))
    assert rejected.reason is Reason.MISSING_FIELD
    assert "'email' of the API's answer" in rejected.message


@pytest.mark.parametrize(
    ("changes", "came"),
    [
        ({"email": None}, "there is nothing: the item's keys are "),
        ({"email": 5}, "there is a whole number)"),
        ({"email": ["hush"]}, "there is a list of 1)"),
        ({"email": {"hush": 1}}, "there is an object)"),
        ({"email": True}, "there is true or false)"),
    ],
)
def test_rejection_says_what_came_and_no_value_of_it(changes: dict[str, Any], came: str) -> None:
    message = rejection(from_api(USERS, person(**changes))).message
    assert f"(from 'email' of the API's answer, where {came}" in message
    assert "hush" not in message


def test_rejection_keeps_the_whole_item() -> None:
    item = person(email=7)
    assert json.loads(rejection(from_api(USERS, item)).original) == item


@pytest.mark.parametrize("item", [None, 7, "text", [], True])
def test_rejects_an_item_that_is_no_object(item: Any) -> None:
    assert rejection(from_api(USERS, item)).reason is Reason.NOT_AN_OBJECT


def test_rejects_text_that_utf8_cannot_carry() -> None:
    rejected = rejection(from_api(USERS, person(email="\ud800")))
    assert rejected.reason is Reason.MALFORMED_JSON
    assert b"\\ud800" in rejected.original


@pytest.mark.parametrize("odd", [True, 1.5, {}, ["a"]])
def test_template_writes_only_text_and_whole_numbers(odd: Any) -> None:
    item = person()
    item["location"]["postcode"] = odd
    assert rejection(from_api(USERS, item)).reason is Reason.WRONG_TYPE


def test_template_keeps_braces_that_stand_twice() -> None:
    pipeline = USERS.model_copy(update={"record": Braces})
    assert from_api(pipeline, {"id": ID, "a": {"b": 7}, "c": "{}"}) == Braces(id=UUID(ID), text="{7} {}")


# --- from the bytes of a Kafka value ---


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (None, Reason.NO_VALUE),
        (b"", Reason.MALFORMED_JSON),
        (b"\xff\xfe", Reason.NOT_UTF8),
        (value()[:-1], Reason.MALFORMED_JSON),
        (value() + b" x", Reason.MALFORMED_JSON),
        (value() * 2, Reason.MALFORMED_JSON),
        (b"[" * 100_000, Reason.MALFORMED_JSON),
        (b'{"id": NaN}', Reason.MALFORMED_JSON),
        (b'{"email": "twice", ' + value()[1:], Reason.MALFORMED_JSON),
        (b"null", Reason.NOT_AN_OBJECT),
        (b"[]", Reason.NOT_AN_OBJECT),
        (value(email=None), Reason.MISSING_FIELD),
        (value(dob="1946-05-03"), Reason.UNKNOWN_FIELD),
        (value(email=7), Reason.WRONG_TYPE),
        (value(email=""), Reason.INVALID_VALUE),
        (value(id="no uuid"), Reason.INVALID_VALUE),
        (value(id=ID.replace("-", "")), Reason.INVALID_VALUE),
        (value(id="urn:uuid:" + ID), Reason.INVALID_VALUE),
    ],
)
def test_rejects_with_its_reason(received: bytes | None, reason: Reason) -> None:
    rejected = rejection(from_bytes(USERS, received))
    assert rejected.reason is reason
    assert rejected.original == (received or b"")
    assert rejected.message


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("whole", "1.0", Reason.WRONG_TYPE),
        ("whole", "true", Reason.WRONG_TYPE),
        ("whole", str(2**63), Reason.WRONG_TYPE),
        ("real", "1e999", Reason.INVALID_VALUE),
        ("real", '"1"', Reason.WRONG_TYPE),
        ("yes", "1", Reason.WRONG_TYPE),
        ("at", "1577836800", Reason.WRONG_TYPE),
        ("at", '"1577836800"', Reason.INVALID_VALUE),
        ("at", '"2020-01-01"', Reason.INVALID_VALUE),
        ("at", '"2020-01-01T00:00:00"', Reason.INVALID_VALUE),
        ("at", '"2020-13-01T00:00:00Z"', Reason.INVALID_VALUE),
    ],
)
def test_no_type_is_guessed(field: str, text: str, reason: Reason) -> None:
    assert rejection(from_bytes(READINGS, f'{{"id":"{ID}","{field}":{text}}}'.encode())).reason is reason


def test_names_the_field_and_not_the_value() -> None:
    message = rejection(from_bytes(USERS, value(email=123456789))).message
    assert message.startswith("email: ")
    assert "123456789" not in message


# --- there and back ---

SOME = st.text(min_size=1)
ANY = st.none() | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.builds(
        User,
        id=st.uuids(),
        **dict.fromkeys(("first_name", "last_name", "email", "username"), SOME),
        **dict.fromkeys(("gender", "address", "post_code", "registered_date", "phone", "picture"), ANY),
    )
)
def test_users_of_every_script_survive_the_way_through_bytes(record: User) -> None:
    assert from_bytes(USERS, to_bytes(record)) == record


_VALUES: dict[Any, st.SearchStrategy[Any]] = {
    UUID: st.uuids(),
    str: SOME,
    int: st.integers(-(2**63), 2**63 - 1),
    Int32: st.integers(-(2**31), 2**31 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(-(10**30), 10**30, places=5),
    bool: st.booleans(),
    datetime: st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - see timezones
    date: st.dates(),
    IPAddress: st.ip_addresses(v=4) | st.ip_addresses(v=6).filter(lambda one: not one.ipv4_mapped),
    bytes: st.binary(),
    list[str]: st.lists(st.text()),
    set[str]: st.sets(st.text()),
    dict[str, str]: st.dictionaries(st.text(), st.text()),
    JsonText: JSON.map(json.dumps),
}


def test_values_of_every_type_are_drawn() -> None:
    assert _VALUES.keys() == TYPES.keys() == {column.python for column in QUAKES.columns}


def _drawn(column: Column) -> st.SearchStrategy[Any]:
    values = _VALUES[column.python]
    return values if column.required else st.none() | values


@settings(deadline=None)
@given(st.builds(Quake, **{column.name: _drawn(column) for column in QUAKES.columns}))
def test_every_type_survives_the_way_through_bytes(record: Quake) -> None:
    assert from_bytes(QUAKES, to_bytes(record)) == record


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_raise(received: bytes) -> None:
    rejection(from_bytes(USERS, received))


@settings(deadline=None)
@given(JSON, st.sampled_from(["login", "name", "location", "email", "registered", "phone", "picture"]))
def test_no_item_raises(given_value: Any, where: str) -> None:
    assert isinstance(from_api(USERS, person(**{where: given_value})), (User, Rejected))


@pytest.mark.parametrize(
    ("key", "fits"),
    [("", False), ("a", True), ("ü" * 32_767 + "x", True), ("ü" * 32_768, False)],
    ids=["empty", "short", "as long as may be", "too long"],
)
def test_key_of_text_has_the_bounds_of_cassandras_keys(key: str, fits: bool) -> None:
    from_kafka, from_answer = from_bytes(TAGS, json.dumps({"tag": key}).encode()), from_api(TAGS, {"tag": key})
    for outcome in (from_kafka, from_answer):
        assert fits or rejection(outcome).reason is Reason.INVALID_VALUE
        assert isinstance(outcome, Tag) == fits
