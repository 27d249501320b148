"""What a user name or a secret may be, so that every server and client takes it as it was given.

A message about a value never holds the value, nor a part of it.
"""

import base64
import binascii
import re
import unicodedata
from typing import Annotated, TypeVar

from pydantic import AfterValidator, SecretStr

_Text = TypeVar("_Text", str, SecretStr)

_FERNET_BYTES = 32


def _checked(value: _Text) -> _Text:
    """Refuses what ends or splits a line, a C string or SASL's messages, and what is no text.

    A part of the environment that is not UTF-8 comes as surrogates.
    """
    kinds = {unicodedata.category(character) for character in _plain(value)}
    if "Cc" in kinds:
        raise ValueError(
            "it holds a control character, such as a line break or a tab; every other character may be used"
        )
    if "Cs" in kinds:
        raise ValueError("it is not UTF-8; is the locale the one that it was written in?")
    return value


def _unexpanded(value: _Text) -> _Text:
    """Airflow replaces `$NAME` and a leading `~` in all its options (`expand_env_var` of 3.3.2), and its file has no
    outer spaces.
    """
    text = _plain(value)
    if "$" in text or text.startswith("~"):
        raise ValueError("Airflow takes $ and a leading ~ for names that it replaces: leave them out")
    if text != text.strip():
        raise ValueError("Airflow's file of options takes no outer spaces: leave them out")
    return value


def _login_name(value: str) -> str:
    """Airflow's list of users is `name:role,name:role`."""
    if set(":,") & set(value) or value != value.strip():
        raise ValueError("Airflow's list of users takes no name with a colon, a comma or outer spaces")
    return value


def _fernet_key(value: SecretStr) -> SecretStr:
    """Several keys, the newest first, are how a key is replaced: https://airflow.apache.org/docs/ (Rotating keys)."""
    text = value.get_secret_value()
    if text and not all(_is_fernet(key) for key in text.split(",")):
        raise ValueError(
            f"it must be {_FERNET_BYTES} bytes in URL-safe base64, or several of such with commas between. "
            "Make one: head -c 32 /dev/urandom | base64 | tr +/ -_"
        )
    return value


def _is_fernet(key: str) -> bool:
    try:
        return len(base64.b64decode(key, b"-_", validate=True)) == _FERNET_BYTES
    except (binascii.Error, ValueError):
        return False


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _no_hash(value: SecretStr) -> SecretStr:
    """Postgres takes such a text for the hash of an unknown password: https://www.postgresql.org/docs/18/sql-createrole.html"""
    if re.match(r"md5[0-9a-f]{32}$|SCRAM-SHA-256\$", value.get_secret_value()):
        raise ValueError("Postgres takes it for the hash of another password")
    return value


UserName = Annotated[str, AfterValidator(_checked)]
Secret = Annotated[SecretStr, AfterValidator(_checked)]
DatabasePassword = Annotated[SecretStr, AfterValidator(_checked), AfterValidator(_no_hash)]
SigningKey = Annotated[SecretStr, AfterValidator(_checked), AfterValidator(_unexpanded)]
"""What Airflow signs with."""
FernetKey = Annotated[SecretStr, AfterValidator(_fernet_key)]
LoginName = Annotated[str, AfterValidator(_checked), AfterValidator(_unexpanded), AfterValidator(_login_name)]
"""Of a user of the local Airflow."""
