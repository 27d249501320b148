"""A company's network: an authority of its own in the system's store, mirrors in place of the public registries.

The store is changed by the system's own tool, in a mount namespace that only the started process sees: this needs root.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests.mirrors import Mirrors, mirrors, write_wheel

ROOT = Path(__file__).parents[2]
STORE, ADDED = Path("/etc/ssl/certs"), Path("/usr/local/share/ca-certificates")
WITH_STORE = f"""
mount --bind "$1/store" {STORE}
mount --bind "$1/added" {ADDED}
update-ca-certificates > /dev/null 2>&1
shift
exec "$@"
"""
FETCH = """
import sys
from pathlib import Path
from penstock.servers.jars.download import download
from penstock.servers.jars.locked import Jar
download([Jar("org.example", "own", "1.0", "", sys.argv[1], int(sys.argv[2]))], Path("jars"), sys.argv[3], print)
"""
# The set-up ends with an editable installation of the project; this is one without a build tool.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import shutil
def build_editable(folder, config_settings=None, metadata_directory=None):
    shutil.copy("own-1.0-py3-none-any.whl", folder)
    return "own-1.0-py3-none-any.whl"
"""


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirrors]:
    with mirrors(tmp_path_factory.mktemp("mirrors")) as running:
        yield running


@pytest.fixture
def store(mirror: Mirrors, tmp_path: Path) -> Path:
    """Folder with a copy of the system's store to which the mirrors' authority is to be added."""
    shutil.copytree(STORE, tmp_path / "store", symlinks=True)
    shutil.copytree(ADDED, tmp_path / "added")
    shutil.copy(mirror.authority, tmp_path / "added" / "own.crt")
    return tmp_path


def run(folder: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs it in the folder, with nothing of this machine's way to its registries."""
    alone = {"PATH": os.environ["PATH"], "HOME": str(folder), "PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0"}
    return subprocess.run(
        command, cwd=folder, env={**alone, **environment}, capture_output=True, text=True, check=False
    )


def with_store(folder: Path, *command: str | Path) -> tuple[str | Path, ...]:
    """The command where the mirrors' authority stands in the system's store."""
    return ("unshare", "--mount", "sh", "-ec", WITH_STORE, "sh", folder, *command)


def test_jars_are_fetched_from_a_mirror_that_the_system_trusts(mirror: Mirrors, store: Path) -> None:
    jar = mirror.holds_jar("own")
    command = (sys.executable, "-c", FETCH, jar.sha256, str(jar.size_bytes), mirror.repository)
    refused = run(store, *command)
    assert refused.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    assert "update-ca-certificates" in refused.stderr
    taken = run(store, *with_store(store, *command))
    assert (taken.returncode, jar.path(store / "jars").exists()) == (0, True), taken.stderr


def test_set_up_from_the_mirror_of_pips_configuration(mirror: Mirrors, store: Path) -> None:
    clone = store / "clone"
    for name in (
        "scripts/setup",
        "src/penstock/__init__.py",
        "src/penstock/network/__init__.py",
        "src/penstock/network/downloads.py",
        "src/penstock/network/proxies.py",
    ):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    tiny = mirror.holds_wheel("tiny", "1.0", {"tiny.py": b""})
    (clone / "requirements.lock").write_text(tiny + uv_of_ours(mirror))
    (clone / "pyproject.toml").write_text(PYPROJECT + '[project]\nname = "own"\nversion = "1.0"\n')
    (clone / "backend.py").write_text(BACKEND)
    write_wheel(clone / "own-1.0-py3-none-any.whl", "own", "1.0", {})
    (store / "pip.conf").write_text(f"[global]\nindex-url = {mirror.index}\n")
    done = run(store, *with_store(store, clone / "scripts" / "setup"), PIP_CONFIG_FILE=str(store / "pip.conf"))
    assert done.returncode == 0, done.stderr
    assert [*(clone / ".venv").glob("lib/python*/site-packages/tiny.py")]


def uv_of_ours(mirror: Mirrors) -> str:
    """Puts the uv that is installed here into the index, as a wheel."""
    installed = metadata.distribution("uv")
    program = Path(sys.executable).with_name("uv").read_bytes()
    files = {f"uv-{installed.version}.data/scripts/uv": program}
    return mirror.holds_wheel("uv", installed.version, files)
