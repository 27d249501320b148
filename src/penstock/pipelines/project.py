"""The project's pipelines: which are declared, whether they can stand beside each other, and which one is meant.

A project is a folder. Its pipelines are what `pipelines` lists, in the settings or in the project's `penstock.toml`;
else every declaration in its `pipelines/*.py`; else the users pipeline. They are looked up anew each time, so that one
can be added while the stack runs.
"""

import ast
import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from penstock.config import Settings, declaring_files, project_file, references
from penstock.errors import ConfigError, ContractError
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.lines import refusal

DEFAULT = "penstock.users:USERS"
"""What a project is that declares nothing."""


@dataclass(frozen=True)
class Declaration:
    """One place of a declaration: the pipeline, or why there is none."""

    place: str
    """module:NAME, or the file and the name in it."""
    text: str
    """The file's text: another one is another declaration. Of module:NAME it is the place."""
    pipeline: Pipeline | None = None
    error: ContractError | None = None

    def is_still(self, other: "Declaration | None") -> bool:
        """Whether the other one says the same at the same place."""
        return other is not None and (self.place, self.text) == (other.place, other.text)


def declarations(settings: Settings) -> list[Declaration]:
    """Every declaration of the project, also those that are broken or collide with another one.

    Raises:
        ConfigError: the project's list cannot be read.
    """
    listed, files = references(settings), declaring_files(settings)
    _make_importable(settings)
    if listed or not files:
        found = [_of_reference(each) for each in listed or (DEFAULT,)]
    else:
        found = [each for file in files for each in _of_file(file)]
        if not found:
            what = f"no pipeline is declared in {files[0].parent}: none of {', '.join(file.name for file in files)}"
            raise ContractError(f"{what} gives a name to a penstock.Pipeline")
    return _without_collisions(found)


def stamp(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Another one as soon as a declaration was added, changed or removed, or the project's list was written."""
    files = (*declaring_files(settings), project_file(settings))
    return tuple((str(file), _changed_ns(file)) for file in files)


def chosen(settings: Settings, name: str | None = None) -> Pipeline:
    """The pipeline of that name, whatever is wrong with others; without a name the only one that there is.

    Raises:
        ConfigError: there is none of that name, or several and no name.
        ContractError: it may be one that is broken.
    """
    found = declarations(settings)
    sound = {each.pipeline.name: each.pipeline for each in found if each.pipeline}
    if name in sound:
        return sound[name]
    if broken := next((each.error for each in found if each.error), None):
        raise broken
    if name is not None:
        raise ConfigError(f"--pipeline is {name!r}; the pipelines of this project are: {', '.join(sound)}")
    if len(sound) > 1:
        raise ConfigError(f"this project has several pipelines: say which one, --pipeline {' or '.join(sound)}")
    return next(iter(sound.values()))


def load_pipeline(reference: str) -> Pipeline:
    """The pipeline that `module:NAME` names.

    Raises:
        ContractError: no such module, it cannot be imported, or the name in it is not a `Pipeline`.
    """
    module_name, _, attribute = reference.partition(":")
    try:
        pipeline = getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:
        # The module is the user's, and may fail in any way while it is imported.
        hint = "Give module:NAME, e.g. penstock.users:USERS; one of your own is in the project's folder or importable."
        raise refusal(repr(reference), error, hint) from error
    if not isinstance(pipeline, Pipeline):
        raise ContractError(f"{reference!r} is a {type(pipeline).__name__}, not a penstock.Pipeline")
    return pipeline


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:  # it is gone since it was found, or was never there
        return 0


def _make_importable(settings: Settings) -> None:
    """Modules of the project are found after all others: module:NAME, and what a declaration imports."""
    root = project_file(settings).parent
    for folder in (str(root), str(root / "pipelines")):
        if folder not in sys.path:
            sys.path.append(folder)


def _of_reference(reference: str) -> Declaration:
    try:
        return Declaration(reference, reference, load_pipeline(reference))
    except ContractError as error:
        return Declaration(reference, reference, error=error)


def _of_file(file: Path) -> Iterator[Declaration]:
    """The pipelines that the file gives names to. Where there are none, those that it imports: it hands them on."""
    text = ""
    try:
        text = file.read_text("utf-8")
        names, module = _imported(text, file), _executed(text, file)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the file is the user's, and may fail in any way, or exit
        yield Declaration(str(file), text, error=refusal(str(file), error))
        return
    every = {name: value for name, value in vars(module).items() if isinstance(value, Pipeline)}
    own = {name: value for name, value in every.items() if name not in names and not name.startswith("_")}
    seen: list[Pipeline] = []
    for name, pipeline in (own or every).items():
        if not any(pipeline is each for each in seen):  # a second name is no second pipeline
            seen.append(pipeline)
            yield Declaration(f"{file}:{name}", text, pipeline)


def _imported(text: str, file: Path) -> set[str]:
    imports = (node for node in ast.walk(ast.parse(text, str(file))) if isinstance(node, ast.Import | ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}


def _executed(text: str, file: Path) -> ModuleType:
    """Executed anew, in a module by whose name its classes find their annotations."""
    module = ModuleType(f"penstock_project_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    exec(compile(text, str(file), "exec"), vars(module))  # noqa: S102 - that is what a declaration is for
    return module


def _without_collisions(found: Sequence[Declaration]) -> list[Declaration]:
    """What two pipelines share would mix up their records and their accounts: neither of the two is carried."""
    errors: dict[int, ContractError] = {}
    for number, one in enumerate(found):
        for other_number, other in enumerate(found[:number]):
            if one.pipeline and other.pipeline and (shared := _shared(one.pipeline, other.pipeline)):
                text = (
                    f"{other.place} and {one.place} are two pipelines with the same {shared}. Change it in one of them."
                )
                for each in (number, other_number):
                    errors.setdefault(each, ContractError(text))
    return [
        replace(each, pipeline=None, error=errors[number]) if number in errors else each
        for number, each in enumerate(found)
    ]


def _shared(one: Pipeline, other: Pipeline) -> str:
    """What both have that only one may have. The checkpoint's folder is the name, the letters' topic the topic's."""
    if one.name == other.name:
        return f"name, {one.name}, which is also that of the checkpoint"
    if common := _topics(one).keys() & _topics(other).keys():
        found = {topics[min(common)] for topics in (_topics(one), _topics(other))}
        return f"topic, {' and '.join(sorted(found))}" + (", which Kafka takes for one" if len(found) > 1 else "")
    if (one.keyspace, one.table) == (other.keyspace, other.table):
        return f"table, {one.keyspace}.{one.table}"
    return f"DAG, {one.schedule.dag_id}" if one.schedule.dag_id == other.schedule.dag_id else ""


def _topics(pipeline: Pipeline) -> dict[str, str]:
    """By the name that counts: Kafka makes no two topics that differ in . and _ only.

    https://github.com/apache/kafka/blob/4.1/clients/src/main/java/org/apache/kafka/common/internals/Topic.java
    """
    return {topic.replace(".", "_"): topic for topic in (pipeline.topic, pipeline.dead_letter_topic)}
