"""Names that CQL accepts, and the table options that a declaration may set."""

from collections.abc import Mapping
from typing import Any

from penstock.errors import ContractError

# cassandra-all 5.0.9, org/apache/cassandra/cql3/reserved_keywords.txt; a later Cassandra may have more.
_WORDS = """
add allow alter and apply asc authorize batch begin by columnfamily create delete desc describe drop entries execute
from full grant if in index infinity insert into is keyspace limit materialized modify nan norecursive not null of
on or order primary rename revoke schema select set table to token truncate unlogged update use using view where with
"""
RESERVED_IN_CQL = frozenset(_WORDS.split())
"""Words that Cassandra takes for no name, in lower case."""
# https://cassandra.apache.org/doc/5.0/cassandra/developing/cql/ddl.html#create-table-options
_OPTIONS = """
additional_write_policy bloom_filter_fp_chance caching cdc comment compaction compression crc_check_chance
default_time_to_live gc_grace_seconds incremental_backups max_index_interval memtable memtable_flush_period_in_ms
min_index_interval read_repair speculative_retry
"""
OPTIONS = frozenset(_OPTIONS.split())


def check_name(what: str, name: str) -> str:
    """The name; raises ContractError when Cassandra would take it for a word of its own."""
    if name in RESERVED_IN_CQL:
        raise ContractError(f"{what} {name!r} is a reserved word of CQL: give it another name, e.g. {name}_value")
    return name


def check_options(options: Mapping[str, Any]) -> None:
    """Raises ContractError when one is no option of a table, or its value is none that CQL can say."""
    for name, value in options.items():
        if name not in OPTIONS:
            raise ContractError(f"table option {name!r} is unknown; there are: {', '.join(sorted(OPTIONS))}")
        in_cql(name, value)


def in_cql(name: str, value: Any) -> str:
    """The value as CQL writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quoted(str(key))}: {in_cql(name, each)}" for key, each in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    raise ContractError(
        f"table option {name!r} is {value!r:.100}: say text, a number, true or false, or a map of these"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
