"""The one reader of the environment and of `penstock.toml`, and what is told of the settings."""

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from penstock.config.names import PREFIX, as_text, leaves, variable_of
from penstock.config.sections import Section
from penstock.config.settings import Settings
from penstock.errors import ConfigError, FolderError

FILE_VARIABLE = "PENSTOCK_CONFIG"
FILE_NAME = "penstock.toml"
_URL_OF = f"{PREFIX}SOURCE_URL_"
"""Begin of the variables that hold the address of one pipeline's API each."""


def read_settings(
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from `overrides` (top-level names), else the environment, else the file, else the defaults; resolved.

    The file is the one `PENSTOCK_CONFIG` names, else `penstock.toml` in the working folder if there is one. It is TOML,
    or JSON if its name ends in `.json`.

    Raises:
        ConfigError: an unknown key or a value that is not allowed; says which, where it came from and what is allowed.
    """
    environ = os.environ if environ is None else environ
    file, from_file = _read_file(environ)
    from_environment = _read_environment(environ)
    origins = [("the command line", overrides or {}), ("environment", from_environment), (f"file {file}", from_file)]
    merged = _merge(_merge(from_file, from_environment), overrides or {})
    merged.setdefault("project", str(file.parent) if file else _working_folder())
    try:
        settings = Settings.model_validate(merged).resolved()
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(problem, origins) for problem in error.errors())) from error
    listed = "pipelines" in from_file and "pipelines" not in {**from_environment, **(overrides or {})}
    # The project's own list is read where it stands, each time: it may grow while the stack runs.
    return settings.model_copy(update={"pipelines": ()}) if listed and file == project_file(settings) else settings


def project_file(settings: Settings) -> Path:
    """Where the project's list of pipelines may stand."""
    return Path(settings.project, FILE_NAME).absolute()


def references(settings: Settings) -> tuple[str, ...]:
    """module:NAME of each pipeline that is listed: by the settings, else by the project's `penstock.toml` as it is now.

    Raises:
        ConfigError: that file cannot be read, or what it says is no list.
    """
    if settings.pipelines:
        return settings.pipelines
    file = project_file(settings)
    listed = (_content(file) if file.exists() else {}).get("pipelines", ())
    try:
        return Settings.model_validate({"pipelines": listed}).pipelines
    except ValidationError as error:
        raise ConfigError(
            "\n".join(_explain(each, [(f"file {file}", {"pipelines": listed})]) for each in error.errors())
        ) from error


def declaring_files(settings: Settings) -> list[Path]:
    """`pipelines/*.py` of the project in the order of their names, without those that begin with an underscore."""
    folder = Path(settings.project, "pipelines").absolute()
    try:
        return sorted(path for path in folder.glob("*.py") if not path.name.startswith(("_", ".")))
    except OSError as error:
        raise FolderError("project", Path(settings.project), error) from error


def _working_folder() -> str:
    """Empty where it was deleted meanwhile."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def markdown_table() -> str:
    """Every setting as a row: environment variable, key in the file, default, meaning. For the documentation."""
    rows = [f"| `{variable_of(path)}` | {_shown(value)} | {_meaning(path)} |" for path, value in _defaults()]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _meaning(path: tuple[str, ...]) -> str:
    return _field(path).description or ""


@cache
def _field(path: tuple[str, ...]) -> FieldInfo:
    model: type[Section] = Settings
    for part in path[:-1]:
        model = type(getattr(model(), part))
    return model.model_fields[path[-1]]


def _shown(value: Any) -> str:
    if isinstance(value, Path):
        return "the system's folder for it"
    text = as_text(value)
    return f"`{text}`" if text else ""


def _read_file(environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = environ.get(FILE_VARIABLE)
    try:
        file = Path(named or FILE_NAME).expanduser().absolute()
        there = file.exists()
    except (RuntimeError, OSError, ValueError) as error:  # a home that nobody has, a working folder that is gone
        if named:
            raise ConfigError(f"{FILE_VARIABLE} names {named!a}, which cannot be read: {error}") from error
        return None, {}
    return (file, _content(file)) if named or there else (None, {})


def _content(file: Path) -> dict[str, Any]:
    form = "JSON" if file.suffix == ".json" else "TOML"
    try:
        return _parsed(file.read_text("utf-8"), form)
    except FileNotFoundError as error:
        raise ConfigError(f"{FILE_VARIABLE} names {file}, which does not exist") from error
    except (ValueError, RuntimeError, OSError) as error:  # RuntimeError: nested without end
        raise ConfigError(f"{file} cannot be read as {form}: {error}") from error


def _parsed(text: str, form: str) -> dict[str, Any]:
    found = json.loads(text) if form == "JSON" else tomllib.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__} where tables of settings are expected")  # noqa: TRY004 - the reader's other errors are such
    return found


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {variable_of(path): path for path, _ in _defaults()}
    found: dict[str, Any] = {}
    urls: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        if variable.startswith(_URL_OF) and variable != _URL_OF:
            urls = urls | ({variable.removeprefix(_URL_OF).lower(): value} if value else {})
            continue
        if variable not in known:
            raise ConfigError(f"environment variable {variable} is not a setting{_nearest(variable, list(known))}")
        *sections, name = known[variable]
        target = found
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    if urls:
        source = found.setdefault("source", {})
        source["urls"] = {**_json_object(source.get("urls", "")), **urls}
    return found


def _json_object(text: str) -> dict[str, Any]:
    """Parses a JSON object. Other text is kept under an empty name, and the validation then refuses it by its text."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {"": text}
    return found if isinstance(found, dict) else {"": text}


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
        names = [".".join(known) for known, _ in _defaults()]
        return f"setting {name} ({origin}) does not exist{_nearest(name, names)}"
    message = problem["msg"].removeprefix("Value error, ")
    if not path:
        return f"the settings are not allowed: {message}"
    if is_section:
        return f"setting {name} ({origin}) is not allowed: {message}"
    given = "a secret" if _holds_secret(path) else json.dumps(problem["input"], default=str)
    return f"setting {name} ({origin}) is {given}, which is not allowed: {message}"


def _stands_in(values: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if isinstance(values, list):
            return True  # the path goes on with the number of an item
        if not isinstance(values, Mapping) or part not in values:
            return False
        values = values[part]
    return True


def _holds_secret(path: tuple[str, ...]) -> bool:
    """Whether what stands at `path` is, or may hold, what no message shows: such a setting, or a section with one."""
    return any(_is_secret(known, value) and known[: len(path)] == path[: len(known)] for known, value in _defaults())


@cache
def _defaults() -> tuple[tuple[tuple[str, ...], Any], ...]:
    """Path and default of every setting."""
    return tuple(leaves(Settings()))


def _is_secret(path: tuple[str, ...], value: Any) -> bool:
    return isinstance(value, SecretStr) or not _field(path).repr


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else f". {_listed(name)}"


def _listed(name: str) -> str:
    """The settings of the section that was meant, else the sections: whoever installed a wheel has no page of them."""
    section = name.partition(".")[0]
    of_section = [".".join(path) for path, _ in _defaults() if path[0] == section]
    if of_section:
        return f"Those of {section} are {', '.join(of_section)}"
    return f"Settings and sections of settings are {', '.join(Settings.model_fields)}"
