"""Finds the line of a declaration that an error is about, and words the error for the person who wrote the line."""

import ast
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from penstock.errors import ContractError

_OURS = str(Path(__file__).parents[1])


def refusal(place: str, error: Exception | SystemExit, hint: str = "Correct it.") -> ContractError:
    """The error of a declaration that could not be executed: with its line, and what is wrong there."""
    where = _line_of(error)
    if isinstance(error, (ContractError, ValidationError)):
        return ContractError(f"{where}{_sentence(error)}")
    advice = "" if where else f" {hint}"
    return ContractError(f"no pipeline at {place}: {where}{type(error).__name__}: {error}.{advice}")


def _line_of(error: BaseException) -> str:
    """`file:line: ` of the declaration's line that failed; empty where no line of a declaration is to blame.

    That is the field's or the argument's own line, where the error says which one it is.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    libraries = (_OURS, *sysconfig.get_paths().values(), "<")
    found = [frame for frame in frames if not frame.filename.startswith(libraries)]
    if not found:
        return ""
    file, line = found[-1].filename, found[-1].lineno or 0
    return f"{file}:{_own_line(Path(file), line, _place(error)) or line}: "


def _sentence(error: ContractError | ValidationError) -> str:
    if isinstance(error, ContractError):
        return str(error)
    problems = (
        f"{'.'.join(map(str, each['loc'])) or error.title}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    )
    return f"{error.title}: {'; '.join(problems)}"


def _place(error: BaseException) -> str:
    """`Class.field`, or the name of an argument."""
    if isinstance(error, ContractError):
        return error.place
    if not isinstance(error, ValidationError):
        return ""
    places = (each["loc"] for each in error.errors(include_url=False, include_input=False))
    return next((str(place[0]) for place in places if place), "")


def _own_line(file: Path, line: int, place: str) -> int | None:
    """The line of a field's annotation, or of an argument of the call that begins at `line` or contains it."""
    if not place:
        return None
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return None
    owner, _, name = place.rpartition(".")
    lines = _of_field(tree, owner, name) if owner else _of_argument(tree, line, name)
    return next(lines, None)


def _of_field(tree: ast.Module, owner: str, name: str) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == owner:
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.target.id == name:
                    yield part.lineno


def _of_argument(tree: ast.Module, line: int, name: str) -> Iterator[int]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    around = [call for call in calls if call.lineno <= line <= (call.end_lineno or line)]
    # Of calls within each other the one that begins last is the innermost.
    for call in sorted(around, key=lambda one: (one.lineno, one.col_offset), reverse=True):
        yield from (each.value.lineno for each in call.keywords if each.arg == name)
