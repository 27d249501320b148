"""A proposal as the Python file that declares it, as a person would write it."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import penstock
from penstock.pipelines.contract import From
from penstock.pipelines.cql import RESERVED_IN_CQL
from penstock.pipelines.keys import Key
from penstock.pipelines.types import type_name
from penstock.proposal.fields import Field
from penstock.proposal.names import class_name
from penstock.source import Source

KEYSPACE = "penstock"
_WIDEST = 110
_MODULES: Mapping[Any, str] = {UUID: "uuid", Decimal: "decimal", datetime: "datetime", date: "datetime"}
_SOURCE = ("url", "items", "params", "auth", "paging", "total", "ndjson")


@dataclass(frozen=True)
class Declaration:
    """Everything that is written into the file of a declaration."""

    name: str
    fields: Sequence[Field]
    source: Source
    key: str | Key
    deleted: str
    start: datetime
    about_source: Sequence[str] = ()
    about_record: Sequence[str] = ()
    about_key: Sequence[str] = ()
    about_pipeline: Sequence[str] = ()

    @property
    def table(self) -> str:
        return self.name if is_free(self.name) else f"{self.name}_rows"

    @property
    def constant(self) -> str:
        """The name of the pipeline in its module, which hides nothing that the file imports."""
        name = self.name.upper()
        return f"{name}_PIPELINE" if name in ("UTC", "UUID") else name


def is_free(name: str) -> bool:
    """Whether a table may have that name."""
    return name not in RESERVED_IN_CQL


def text_of(declared: Declaration) -> str:
    """The file."""
    body = "\n\n\n".join(("\n".join(_record(declared)), "\n".join(_pipeline(declared))))
    head = f'''"""The pipeline {declared.name}, proposed by `penstock new` from one answer of the API.

Comments that begin with `unsure:` are what the answer did not tell. Correct what is wrong, then delete them.
"""
'''
    return f"{head}\n{_imports(declared, body)}\n\n\n{body}\n"


def _record(declared: Declaration) -> list[str]:
    lines = [f"class {class_name(declared.name)}(Record):", f'    """One row of {declared.table}."""', ""]
    lines += _comments(declared.about_record, "    ")
    for field in declared.fields:
        lines += _comments([field.doubt] if field.doubt else [], "    ")
        kind = type_name(field.kind.python)
        optional = " | None" if field.optional else ""
        default = " = None" if field.optional else ""
        lines.append(f"    {field.name}: Annotated[{kind}{optional}, {_origin(field.origin)}]{default}")
    return lines


def _pipeline(declared: Declaration) -> list[str]:
    name, source = declared.name, declared.source
    given = {each: getattr(source, each) for each in _SOURCE}
    said = {each: value for each, value in given.items() if value not in (None, False, {})}
    inner = [f"        {each}={_laid_out(value, 8)}," for each, value in said.items()]
    return [
        f"{declared.constant} = Pipeline(",
        f"    name={quoted(name)},",
        "    version=1,",
        f"    record={class_name(name)},",
        *_comments(declared.about_key, "    "),
        f"    key={expression(declared.key)},",
        "    source=Source(",
        *_comments(declared.about_source, "        "),
        *inner,
        "    ),",
        f"    topic={quoted(name)},",
        f"    keyspace={quoted(KEYSPACE)},",
        f"    table={quoted(declared.table)},",
        f"    app_name={quoted(f'penstock-{name}')},",
        f"    schedule=Schedule(dag_id={quoted(name)}, start={_moment(declared.start)}),",
        *_comments(declared.about_pipeline, "    "),
        *([f"    deleted={quoted(declared.deleted)},"] if declared.deleted else []),
        ")",
    ]


def _imports(declared: Declaration, body: str) -> str:
    """Of what the text uses, in the order of the modules."""
    types = {field.kind.python for field in declared.fields}
    names: dict[str, set[str]] = {"datetime": {"UTC", "datetime"}, "typing": {"Annotated"}}
    for python, module in _MODULES.items():
        if python in types:
            names.setdefault(module, set()).add(python.__name__)
    ours = {name for name in penstock.__all__ if f"{name}(" in body or f"[{name}" in body}
    ours |= {"Pipeline", "Record", "Schedule", "Source"}
    lines = [_import(module, found) for module, found in sorted(names.items())]
    return "\n".join([*lines, "", _import("penstock", ours)])


def _import(module: str, names: Iterable[str]) -> str:
    ordered = sorted(names, key=lambda name: (not name.isupper(), name))
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= _WIDEST:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in ordered), ")"])


def _comments(doubts: Iterable[str], indent: str) -> list[str]:
    """Lines of comments; what came from the API cannot end one."""
    lines = []
    for doubt in doubts:
        words, line = printable(f"unsure: {doubt}").split(" "), f"{indent}#"
        for word in words:
            if len(line) + 1 + len(word) > _WIDEST and not line.endswith("#"):
                lines.append(line)
                line = f"{indent}#  "
            line += f" {word}"
        lines.append(line)
    return lines


def printable(text: str) -> str:
    """The text with every character escaped that is none which can be seen, such as the end of a line."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def quoted(text: str) -> str:
    """Text as Python writes it, in double quotes where that needs no more escapes."""
    # The apostrophe makes repr choose double quotes, unless the text has some itself.
    found = repr(f"'{text}")
    return f'"{found[2:]}' if found[0] == '"' else repr(text)


def expression(value: Any) -> str:
    """A value of a declaration as Python writes it, without what is the default."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(name)}: {expression(part)}" for name, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        parts = ", ".join(map(expression, value))
        tail = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"({parts}{tail})" if isinstance(value, tuple) else f"[{parts}]"
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        said = [(field.name, getattr(value, field.name)) for field in fields if _is_said(field, value)]
        is_alone = len(fields) == 1 and not fields[0].kw_only and fields[0].default is dataclasses.MISSING
        arguments = [expression(part) if is_alone else f"{name}={expression(part)}" for name, part in said]
        return f"{type(value).__name__}({', '.join(arguments)})"
    return repr(value)


def _is_said(field: "dataclasses.Field[Any]", value: Any) -> bool:
    return field.default is dataclasses.MISSING or getattr(value, field.name) != field.default


def _origin(origin: From) -> str:
    form = f", form={expression(origin.form)}" if origin.form else ""
    return f"From({quoted(origin.path)}{form})"


def _laid_out(value: Any, indent: int) -> str:
    """A value on one line, or a map on as many as it has entries where it is long."""
    line = expression(value)
    if not isinstance(value, Mapping) or len(line) + indent <= _WIDEST - 10:
        return line
    space = " " * indent
    entries = (f"{space}    {quoted(name)}: {expression(part)}," for name, part in value.items())
    return "\n".join(["{", *entries, f"{space}}}"])


def _moment(moment: datetime) -> str:
    return f"datetime({moment.year}, {moment.month}, {moment.day}, tzinfo=UTC)"
