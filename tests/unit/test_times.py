"""Forms of times: what an API writes becomes RFC 3339 in the message, or is rejected as it is."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest

from penstock import EpochMillis, EpochSeconds, Format, From, Iso8601, Record, Rfc2822
from penstock.pipelines.record import Reason, Rejected, from_api, to_bytes
from penstock.pipelines.times import TimeForm
from penstock.users import USERS

ID = "10cd8b3e-6196-4359-863a-5f09769aa5ad"


def published(form: TimeForm, value: Any, kind: Any = datetime) -> str:
    """What stands in the message, or the reason why there is none."""
    fields = {"id": Annotated[UUID, From("id")], "at": Annotated[kind, From("seen.0.at", form=form)]}
    record = type("Declared", (Record,), {"__annotations__": fields, "__module__": __name__})
    found = from_api(USERS.model_copy(update={"record": record}), {"id": ID, "seen": [{"at": value}, {"at": 1}]})
    return found.reason if isinstance(found, Rejected) else to_bytes(found).decode().split('"at":"')[1][:-2]


@pytest.mark.parametrize(
    ("form", "value", "message"),
    [
        (EpochSeconds(), 1_741_789_800, "2025-03-12T14:30:00Z"),
        (EpochSeconds(), 1_741_789_800.123, "2025-03-12T14:30:00.123000Z"),
        (EpochSeconds(), "1741789800", "2025-03-12T14:30:00Z"),
        (EpochSeconds(), -1, "1969-12-31T23:59:59Z"),
        (EpochSeconds(), 1e9, "2001-09-09T01:46:40Z"),
        (EpochMillis(), 1_741_789_800_123, "2025-03-12T14:30:00.123000Z"),
        (EpochMillis(), 0, "1970-01-01T00:00:00Z"),
        (Rfc2822(), "Wed, 12 Mar 2025 14:30:00 GMT", "2025-03-12T14:30:00Z"),
        (Iso8601(), "2025-03-12 14:30", "2025-03-12T14:30:00Z"),
        (Iso8601("Europe/Berlin"), "2025-07-12T14:30:00", "2025-07-12T14:30:00+02:00"),
        (Iso8601("Europe/Berlin"), "2025-07-12T14:30:00Z", "2025-07-12T14:30:00Z"),
        (Format("%d.%m.%Y %H:%M"), "12.03.2025 14:30", "2025-03-12T14:30:00Z"),
        (Format("%d/%b/%Y:%H:%M:%S %z"), "12/Mar/2025:14:30:00 +0530", "2025-03-12T14:30:00+05:30"),
    ],
)
def test_a_time_is_published_in_one_form(form: TimeForm, value: Any, message: str) -> None:
    assert published(form, value) == message


@pytest.mark.parametrize(
    "value", [True, "soon", "1/2", "1e999999999", "9" * 5_000, 10**30, float("1e300"), [], {}, "NaN", ""]
)
@pytest.mark.parametrize("form", [EpochSeconds(), EpochMillis(), Rfc2822(), Iso8601(), Format("%d.%m.%Y")])
def test_what_is_no_time_is_rejected(form: TimeForm, value: Any) -> None:
    assert published(form, value) in (Reason.WRONG_TYPE, Reason.INVALID_VALUE)


def test_a_date_is_the_day_in_the_zone_that_the_form_names() -> None:
    assert published(Format("%d.%m.%Y %H:%M", zone="Europe/Berlin"), "12.03.2025 00:30", date) == "2025-03-12"
    assert published(EpochMillis(), 1_741_789_800_123, date) == "2025-03-12"


@pytest.mark.parametrize("path", ["seen.7.at", "seen.x.at", "seen.-1.at", "seen.at", "id.0"])
def test_a_place_that_a_list_does_not_have_is_absent(path: str) -> None:
    fields = {"id": Annotated[UUID, From("id")], "at": Annotated[str | None, From(path)]}
    record = type("Declared", (Record,), {"__annotations__": fields, "__module__": __name__, "at": None})
    found = from_api(USERS.model_copy(update={"record": record}), {"id": ID, "seen": [{"at": "x"}]})
    assert isinstance(found, Record)
    assert to_bytes(found) == b'{"id":"%s"}' % ID.encode()
