"""What users import, and what the tree promises: packages that say what they are for, a file for each command."""

import ast
import re
import subprocess
import sys
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import ConfigDict, TypeAdapter

import penstock
from penstock import Pipeline, contract
from penstock.cli import cli
from penstock.config import Settings
from penstock.pipelines.project import chosen

ROOT = Path(__file__).parents[2]
SOURCE, DOCS = ROOT / "src" / "penstock", ROOT / "docs"
PAGES = ("own-api.md", "source.md", "declaration.md")
PACKAGES = sorted(path.parent for path in SOURCE.rglob("__init__.py"))


def test_public_names_are_these() -> None:
    declaration = {"From", "Pipeline", "Record", "Schedule", "Text"}
    source = {"Columns", "Header", "One", "PerSecond", "Source"}
    paging = {"Ask", "Body", "Cursor", "FirstPage", "Generated", "Link", "NextUrl", "Offset", "Page", "Seen"}
    credentials = {"ApiKey", "Basic", "Bearer", "OAuth2ClientCredentials"}
    times, types = (
        {"EpochMillis", "EpochSeconds", "Format", "Iso8601", "Rfc2822"},
        {"IPAddress", "Int32", "Is", "JsonText"},
    )
    table = {"Desc", "Key"}
    assert set(penstock.__all__) == {
        "PenstockError",
        *(*declaration, *source, *paging, *credentials, *times, *types, *table),
    }


@pytest.mark.parametrize("name", penstock.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(penstock, name) is not None


@pytest.mark.parametrize("page", PAGES)
def test_what_pages_about_declarations_call_is_public(page: str) -> None:
    called = set(re.findall(r"(?<!class )\b([A-Z][A-Za-z0-9]+)\(", (DOCS / page).read_text("utf-8")))
    assert called - set(dir(penstock)) == set()


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_declarations_are_what_a_pipeline_takes(page: str) -> None:
    for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL):
        names: dict[str, Any] = {name: getattr(penstock, name) for name in penstock.__all__}
        names |= {"Annotated": Annotated, "datetime": datetime, "timedelta": timedelta}
        exec(block, names)  # noqa: S102 - our own pages
        for field in Pipeline.model_fields.keys() & names.keys():
            kind = TypeAdapter(Pipeline.__annotations__[field], config=ConfigDict(arbitrary_types_allowed=True))
            kind.validate_python(names[field])


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Broker'"):
        _ = penstock.Broker


@pytest.mark.parametrize("name", contract.__all__)
def test_declarations_of_before_find_their_names(name: str) -> None:
    assert getattr(contract, name) is getattr(penstock, name)


def test_pipeline_that_settings_name_by_default_can_be_loaded() -> None:
    assert chosen(Settings()).name == "users"


def test_type_checkers_may_use_our_annotations() -> None:
    assert (resources.files(penstock) / "py.typed").is_file()


def test_importing_the_package_imports_nothing_that_is_to_be_installed() -> None:
    code = "import sys, penstock; print(*(name for name in ('pydantic', 'penstock.pipelines') if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(SOURCE.parent)))
def test_every_package_says_what_it_is_for(package: Path) -> None:
    assert ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8")))


def test_every_file_of_the_command_line_is_a_command_of_its_name() -> None:
    files = {path.stem for path in (SOURCE / "cli").glob("*.py")} - {"__init__"}
    assert {name.replace("-", "_") for name in cli.commands} == files


def test_no_test_imports_from_a_test_and_the_benchmarks_from_none() -> None:
    files = [path for folder in ("tests", "bench", "rig") for path in (ROOT / folder).rglob("*.py")]
    refused = {"tests": re.compile(r"^tests(\.\w+)*\.test_\w+"), "bench": re.compile(r"^tests\b")}
    refused["rig"] = refused["bench"]
    found = [
        (str(path.relative_to(ROOT)), name)
        for path in files
        for name in _imported(ast.parse(path.read_text("utf-8")))
        if refused[path.relative_to(ROOT).parts[0]].match(name)
    ]
    assert found == []


def _imported(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{each.name}" for each in node.names]
    return names


def test_no_message_sends_to_a_file_that_only_a_checkout_has() -> None:
    """What a wheel lacks may be named in docstrings and comments, and in the lock that only a checkout writes."""
    files = {path: ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py") if path.name != "lock.py"}
    told = re.compile(r"(^|[ `'\"(])(docs|scripts|bench|tests)/|README|CONTRIBUTING|requirements\S*\.lock")
    found = [(path.name, text) for path, tree in files.items() for text in _messages(tree) if told.search(text)]
    assert found == []


def _messages(tree: ast.Module) -> list[str]:
    """Every text of a module that is no statement by itself, as docstrings are."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in alone)
    return [node.value for node in texts if isinstance(node.value, str)]
