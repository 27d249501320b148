"""Makes of the API's values those of a message: one function for each type that messages write in one form only.

What is no value of the type stays as it is, and is judged as that.
"""

from base64 import b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Any

from penstock.source.body import json_text


def time_of_item(value: Any) -> Any:
    """Text in RFC 3339 of a time that a form of times made; other values as they are."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def date_of_item(value: Any) -> Any:
    return value.date().isoformat() if isinstance(value, datetime) else value


def decimal_of_item(value: Any) -> Any:
    """A number of JSON as the text that names it; the source's numbers still know theirs, to the last digit."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return value
    try:
        return str(Decimal(value if isinstance(value, int) else str(value)))
    except (InvalidOperation, ValueError):
        return value


def address_of_item(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    with suppress(ValueError):
        address = ip_address(value.strip())
        return str(getattr(address, "ipv4_mapped", None) or address)
    return value


def base64_of_item(value: Any) -> Any:
    """Base64 of either alphabet as base64 in the one for addresses and file names, with its padding."""
    if not isinstance(value, str):
        return value
    text = value.replace("-", "+").replace("_", "/").rstrip("=")
    with suppress(ValueError):
        return urlsafe_b64encode(b64decode(text + "=" * (-len(text) % 4), validate=True)).decode()
    return value


def json_of_item(value: Any) -> str:
    return json_text(value)
