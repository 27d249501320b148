"""What users import, and what the tree promises: packages that say what they are for, a file for each command."""

import ast
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import penstock
from penstock import contract
from penstock.cli import cli
from penstock.config import Settings
from penstock.pipelines.contract import load_pipeline

SOURCE = Path(__file__).parents[2] / "src" / "penstock"
PACKAGES = sorted(path.parent for path in SOURCE.rglob("__init__.py"))


def test_public_names_are_these() -> None:
    declaration = {"From", "Pipeline", "Record", "Schedule", "Text"}
    source = {"Columns", "Header", "One", "PerSecond", "Source"}
    paging = {"Cursor", "Generated", "Link", "NextUrl", "Offset", "Page"}
    credentials = {"ApiKey", "Basic", "Bearer", "OAuth2ClientCredentials"}
    times, types = {"EpochMillis", "EpochSeconds", "Format", "Iso8601", "Rfc2822"}, {"IPAddress", "Int32", "JsonText"}
    table = {"Desc", "Key"}
    assert set(penstock.__all__) == {
        "PenstockError",
        *(*declaration, *source, *paging, *credentials, *times, *types, *table),
    }


@pytest.mark.parametrize("name", penstock.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(penstock, name) is not None


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Broker'"):
        _ = penstock.Broker


@pytest.mark.parametrize("name", contract.__all__)
def test_declarations_of_before_find_their_names(name: str) -> None:
    assert getattr(contract, name) is getattr(penstock, name)


def test_pipeline_that_settings_name_by_default_can_be_loaded() -> None:
    assert Settings().pipeline == "penstock.users:USERS"
    assert load_pipeline("penstock.users:USERS").name == "users"


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
