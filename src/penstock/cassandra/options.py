"""The declared options of a table against those that the table has, which Cassandra words in its own way."""

import re
from collections.abc import Mapping
from typing import Any

from penstock.pipelines.contract import Pipeline
from penstock.pipelines.cql import in_cql

_CLASSES = frozenset({"class", "sstable_compression"})
"""Entries that name a class, which Cassandra shows with its package."""


def other_options(pipeline: Pipeline, found: Mapping[str, Any]) -> dict[str, str]:
    """The declared options that differ in the table: name -> the value that the table has, in CQL.

    `found` is the table's row of `system_schema.tables`. Of a map only the declared entries are compared, as
    Cassandra adds defaults. What this Cassandra does not tell is not compared.
    """
    return {
        name: _told(value, found[name])
        for name, value in pipeline.options.items()
        if name in found and not _same(value, found[name])
    }


def alteration(pipeline: Pipeline, names: Mapping[str, str]) -> str:
    """The statement that gives the table the declared options of these names."""
    options = " AND ".join(f"{name} = {in_cql(name, pipeline.options[name])}" for name in names)
    return f"ALTER TABLE {pipeline.keyspace}.{pipeline.table} WITH {options}"


def _same(declared: Any, found: Any) -> bool:
    if isinstance(declared, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and _same(_short(name, value), _short(name, found[name])) for name, value in declared.items()
        )
    if isinstance(declared, (int, float)) and isinstance(found, (int, float)):
        return float(declared) == float(found)
    # No memtable of its own is the default one.
    return _plain(declared) == _plain("default" if found is None else found)


def _short(name: str, value: Any) -> Any:
    return str(value).rpartition(".")[2] if name in _CLASSES else value


def _plain(value: Any) -> str:
    """Text of an option as Cassandra keeps it: `99.0PERCENTILE` is `99p`."""
    return re.sub(r"^([0-9]+)(\.0+)?(percentile|p)$", r"\1p", str(value).lower())


def _told(declared: Any, found: Any) -> str:
    """Of a map the declared entries."""
    if isinstance(declared, Mapping) and isinstance(found, Mapping):
        return in_cql("", {name: str(_short(name, found[name])) for name in declared if name in found})
    return "none" if found is None else in_cql("", found) if isinstance(found, (str, int, float)) else str(found)
