"""The one reader of the environment and of `penstock.toml`, and what is told of the settings."""

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from penstock.config.names import PREFIX, as_text, leaves, variable_of
from penstock.config.sections import Section
from penstock.config.settings import Settings
from penstock.errors import ConfigError
from penstock.network import child_variables

FILE_VARIABLE = "PENSTOCK_CONFIG"
FILE_NAME = "penstock.toml"


def read_settings(
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from `overrides` (top-level names), else the environment, else the file, else the defaults; resolved.

    The file is the one `PENSTOCK_CONFIG` names, else `penstock.toml` in the working folder if there is one.

    Raises:
        ConfigError: an unknown key or a value that is not allowed; says which, where it came from and what is allowed.
    """
    environ = os.environ if environ is None else environ
    file, from_file = _read_file(environ)
    from_environment = _read_environment(environ)
    origins = [("the command line", overrides or {}), ("environment", from_environment), (f"file {file}", from_file)]
    merged = _merge(_merge(from_file, from_environment), overrides or {})
    try:
        return Settings.model_validate(merged).resolved()
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(problem, origins) for problem in error.errors())) from error


def markdown_table() -> str:
    """Every setting as a row: environment variable, key in the file, default, meaning. For the documentation."""
    rows = [f"| `{variable_of(path)}` | {_shown(value)} | {_meaning(path)} |" for path, value in leaves(Settings())]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def child_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that we start: ours without its settings, then `additions`.

    A child that reads settings is given them whole, by `Settings.environment`: what is left of ours could only
    contradict them, and a relative `PENSTOCK_CONFIG` means another file in the child's folder.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, **child_variables(os.environ), **additions}


def _meaning(path: tuple[str, ...]) -> str:
    model: type[Section] = Settings
    for part in path[:-1]:
        model = type(getattr(model(), part))
    return model.model_fields[path[-1]].description or ""


def _shown(value: Any) -> str:
    if isinstance(value, Path):
        return "the system's folder for it"
    text = as_text(value)
    return f"`{text}`" if text else ""


def _read_file(environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = environ.get(FILE_VARIABLE)
    file = Path(named or FILE_NAME).expanduser().absolute()
    if not file.exists():
        if named:
            raise ConfigError(f"{FILE_VARIABLE} names {file}, which does not exist")
        return None, {}
    try:
        return file, tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file} cannot be read as TOML: {error}") from error


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {variable_of(path): path for path, _ in leaves(Settings())}
    found: dict[str, Any] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        if variable not in known:
            raise ConfigError(f"environment variable {variable} is not a setting{_nearest(variable, list(known))}")
        *sections, name = known[variable]
        target = found
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return found


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _explain(problem: Any, origins: list[tuple[str, Mapping[str, Any]]]) -> str:
    path = tuple(str(part) for part in problem["loc"])
    name = ".".join(path)
    origin = next((origin for origin, values in origins if _stands_in(values, path)), "of the defaults")
    is_section = isinstance(problem["input"], (Mapping, Section))
    if origin == "environment":
        variable = variable_of(path)
        origin = f"environment variables {variable}_…" if is_section else f"environment variable {variable}"
    if problem["type"] == "extra_forbidden":
        names = [".".join(known) for known, _ in leaves(Settings())]
        return f"setting {name} ({origin}) does not exist{_nearest(name, names)}"
    message = problem["msg"].removeprefix("Value error, ")
    if is_section:
        return f"setting {name} ({origin}) is not allowed: {message}"
    given = "a secret" if path in _secrets() else json.dumps(problem["input"], default=str)
    return f"setting {name} ({origin}) is {given}, which is not allowed: {message}"


def _stands_in(values: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _secrets() -> frozenset[tuple[str, ...]]:
    return frozenset(path for path, value in leaves(Settings()) if isinstance(value, SecretStr))


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ". All settings are in docs/operations.md"
