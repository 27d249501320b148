"""Names of columns for names of an API, which may be anything that JSON allows."""

import keyword
import re
import unicodedata
from collections.abc import Iterable

from penstock.pipelines.contract import Record
from penstock.pipelines.cql import RESERVED_IN_CQL

_LONGEST = 48
_ANNOTATED = frozenset({"bool", "bytes", "date", "datetime", "dict", "float", "int", "list", "set", "str"})
"""Names of types, which a field of the same name would hide from the fields after it."""
# https://docs.pydantic.dev/latest/api/config/#pydantic.config.ConfigDict.protected_namespaces
_OF_PYDANTIC = ("model_dump", "model_validate")
_WRAPPERS = frozenset({"properties", "attributes", "fields", "data", "node", "_source"})
"""Objects around the fields of an item that say nothing about them."""


def column_name(path: Iterable[str], used: Iterable[str]) -> str:
    """A name for what stands at a path that CQL and Python take, and that is none of the used ones."""
    parts = [part for part in path if part not in _WRAPPERS] or ["value"]
    name = "_".join(filter(None, map(_cleaned, parts)))[:_LONGEST].strip("_") or "field"
    if not name[0].isalpha():
        name = f"n_{name}"
    if name.startswith(_OF_PYDANTIC):
        name = f"field_{name}"
    if name in RESERVED_IN_CQL or keyword.iskeyword(name) or name in _ANNOTATED or hasattr(Record, name):
        name = f"{name}_value"
    taken, number, chosen = set(used), 2, name
    while chosen in taken:
        chosen, number = f"{name}_{number}", number + 1
    return chosen


def class_name(name: str) -> str:
    """The name of the record class of the pipeline with that name."""
    return "".join(part.capitalize() for part in name.split("_")) + "Row"


def _cleaned(part: str) -> str:
    plain = unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode()
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])", r"\1\3_\2\4", plain)
    return re.sub("[^a-z0-9]+", "_", words.lower()).strip("_")
