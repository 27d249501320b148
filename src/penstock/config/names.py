"""A setting's names: its path in the sections, and the environment variable of it."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from penstock.config.sections import Section

PREFIX = "PENSTOCK_"


def leaves(section: Section, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def variable_of(path: tuple[str, ...]) -> str:
    return PREFIX + "_".join(path).upper()


def as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return json.dumps({name: as_text(part) for name, part in value.items()}) if value else ""
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
