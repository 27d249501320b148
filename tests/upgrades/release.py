"""An old release, built from its commit with its own lock, in a folder of its own."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.config import Settings, child_environment
from penstock.network.downloads import variables

ROOT = Path(__file__).parents[2]
RECIPES = sorted(Path(__file__).parent.glob("*.toml"))
_BUILD_TIMEOUT_S = 1_800
_RUN_TIMEOUT_S = 1_800


@dataclass(frozen=True)
class Release:
    """One that was built, with settings that it knows."""

    clone: Path
    settings: Settings
    recipe: Mapping[str, Any]

    def penstock(self, *arguments: str) -> str:
        """What one of its commands prints; a command that fails fails the test."""
        return self.python("-m", "penstock", *arguments)

    def python(self, *arguments: str) -> str:
        python = str(self.clone / ".venv/bin/python")
        known = _checked([python, "-c", "from penstock.config import Ports; print(*Ports.model_fields)"], {}).split()
        ports = {f"PENSTOCK_PORTS_{name.upper()}": str(getattr(self.settings.ports, name)) for name in known}
        given = {"PENSTOCK_HOME": str(self.settings.home), **ports}
        return _checked([python, *arguments], child_environment(given), cwd=self.clone)

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Run -> its account, from the data."""
        return accounts(self.penstock("reconcile", "--deep", "--json"))


def accounts(lines: str) -> dict[str, dict[str, Any]]:
    """Run -> its account, of what `penstock reconcile --json` prints."""
    return {found["run"]: found for found in map(json.loads, lines.splitlines())}


@contextmanager
def built(recipe: Path, settings: Settings, folder: Path) -> Iterator[Release]:
    """Checks the release out and installs what it locked; what it started is stopped at the end."""
    told = tomllib.loads(recipe.read_text("utf-8"))
    clone = folder / told["version"]
    git = ["git", "-C", str(ROOT), "worktree"]
    # A clone without its history cannot: git fetch --unshallow
    _checked([*git, "add", "--detach", str(clone), told["commit"]], child_environment({}))
    try:
        _install(clone)
        release = Release(clone, settings, told)
        try:
            yield release
        finally:
            release.penstock("down")
    finally:
        _checked([*git, "remove", "--force", str(clone)], child_environment({}))


def _install(clone: Path) -> None:
    """As its own `scripts/setup` does, with our uv."""
    python, uv = str(clone / ".venv/bin/python"), str(Path(sys.executable).with_name("uv"))
    environment = child_environment(variables(child_environment({}), ""))
    _checked([sys.executable, "-m", "venv", "--without-pip", str(clone / ".venv")], environment)
    pip = [uv, "pip", "--quiet"]
    _checked([*pip, "sync", "--python", python, "--require-hashes", str(clone / "requirements.lock")], environment)
    more = ("--no-deps", "--no-build-isolation", "--editable", str(clone))
    _checked([*pip, "install", "--python", python, *more], environment)


def _checked(command: list[str], environment: Mapping[str, str], cwd: Path | None = None) -> str:
    timeout_s = _BUILD_TIMEOUT_S if "uv" in command[0] else _RUN_TIMEOUT_S
    done = subprocess.run(
        command, env=dict(environment), cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout
