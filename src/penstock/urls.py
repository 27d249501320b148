"""Makes addresses fit to be shown in errors, logs, headers and pages: without what lets their reader in.

An address may hold what lets its holder in: a user name and a password before the host, an API key in the query.
"""

import logging
import re
from collections.abc import Collection
from typing import NewType
from urllib.parse import unquote_plus

ShownUrl = NewType("ShownUrl", str)
"""An address that `shown` made: the only form that an error or a message takes."""

_HIDDEN = "***"
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:@\[\]]*)(:[0-9]*)?")


def shown(url: str, plain: Collection[str] = ()) -> ShownUrl:
    """The address without user name, password and fragment; of the query the values of the `plain` parameters only.

    Takes any text. Where host and port cannot be told from a password, neither is shown.
    """
    address, _, query = url.partition("#")[0].partition("?")
    scheme, separator, rest = address.rpartition("://")
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2]
    place = f"{host}{slash}{path}" if _HOST.fullmatch(host) else _HIDDEN
    parameters = "&".join(_parameter(part, plain) for part in query.split("&"))
    return ShownUrl(f"{scheme}{separator}{place}" + (f"?{parameters}" if query else ""))


def _parameter(part: str, plain: Collection[str]) -> str:
    name, _, value = part.partition("=")
    if unquote_plus(name) in plain:
        return part
    return f"{name}={_HIDDEN}" if value else _HIDDEN  # a name without a value may be a token


def _without_secrets(record: logging.LogRecord) -> bool:
    """httpx logs each request with its whole address, and so would every task of Airflow that sends one."""
    if isinstance(record.args, tuple):
        record.args = tuple(shown(str(part)) if "://" in str(part) else part for part in record.args)
    return True


logging.getLogger("httpx").addFilter(_without_secrets)
