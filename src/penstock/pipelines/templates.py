"""The template of a field that is written from several values: `From("{street.number} {street.name}")`."""

import string
from dataclasses import dataclass
from functools import cache

from penstock.errors import ContractError


@dataclass(frozen=True)
class Template:
    """Paths of values, and the form that `str.format` puts these into, in their order."""

    paths: tuple[str, ...]
    form: str


@cache
def template_of(path: str) -> Template | None:
    """The template that a path of `From` is; None where it is a plain path.

    Raises:
        ContractError: it has braces, and is no template.
    """
    try:
        parsed = tuple(string.Formatter().parse(path))
    except ValueError as error:
        raise ContractError(f"From({path!r}) is no template: {error}") from error
    paths = tuple(name for _, name, _, _ in parsed if name is not None)
    if not paths:
        return None
    if any(name == "" or spec or conversion for _, name, spec, conversion in parsed):
        raise ContractError(f"From({path!r}): a template holds paths in braces and no formats, e.g. {{street.number}}")
    form = "".join(_doubled(literal) + "{}" * (name is not None) for literal, name, _, _ in parsed)
    return Template(paths, form)


def _doubled(literal: str) -> str:
    return literal.replace("{", "{{").replace("}", "}}")
