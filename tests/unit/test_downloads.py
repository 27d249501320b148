"""uv and pip are told of the index and of the trust that our settings and pip's configuration name."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from penstock.config import read_settings
from penstock.network.downloads import configured_index, of_pip, variables
from tests.mirrors import Mirrors, mirrors

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirrors]:
    with mirrors(tmp_path_factory.mktemp("mirrors")) as running:
        running.holds_wheel("tiny", "1.0", {"tiny.py": b""})
        yield running


def alone(folder: Path, **more: str) -> dict[str, str]:
    """An environment with nothing of this machine's way to its registries."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "PIP_CONFIG_FILE": os.devnull, **more}


def install(environment: Mapping[str, str], folder: Path, index: str) -> subprocess.CompletedProcess[str]:
    """uv installs `tiny` into the folder."""
    told = {
        **environment,
        **variables(environment, index),
        "UV_CACHE_DIR": str(folder / "cache"),
        "UV_HTTP_RETRIES": "0",
    }
    command = [UV, "pip", "install", "--python", sys.executable, "--target", folder / "target", "tiny==1.0"]
    return subprocess.run(command, env=told, capture_output=True, text=True, check=False)


def test_uv_trusts_the_authority_that_is_named_and_no_other(mirror: Mirrors, tmp_path: Path) -> None:
    refused = install(alone(tmp_path), tmp_path, mirror.index)
    assert refused.returncode != 0
    assert "UnknownIssuer" in refused.stderr
    taken = install(alone(tmp_path, SSL_CERT_FILE=str(mirror.authority)), tmp_path, mirror.index)
    assert (taken.returncode, (tmp_path / "target" / "tiny.py").exists()) == (0, True), taken.stderr


def test_uv_takes_the_index_that_pip_is_configured_to_use(mirror: Mirrors, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {mirror.index}\n")
    environment = alone(tmp_path, SSL_CERT_FILE=str(mirror.authority), PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    taken = install(environment, tmp_path, "")
    assert (taken.returncode, (tmp_path / "target" / "tiny.py").exists()) == (0, True), taken.stderr


def test_setting_wins_over_uv_and_uv_over_pip() -> None:
    environment = {"UV_DEFAULT_INDEX": "https://uv", "PIP_INDEX_URL": "https://pip", "PIP_CONFIG_FILE": os.devnull}
    assert variables(environment, "https://ours")["PIP_INDEX_URL"] == "https://ours"
    assert variables(environment, "")["PIP_INDEX_URL"] == "https://uv"
    del environment["UV_DEFAULT_INDEX"]
    assert variables(environment, "")["UV_DEFAULT_INDEX"] == "https://pip"


def test_without_any_index_uv_and_pip_are_told_of_none() -> None:
    told = variables({"PIP_CONFIG_FILE": os.devnull}, "")
    assert told["UV_SYSTEM_CERTS"] == "1"
    assert not {"UV_DEFAULT_INDEX", "PIP_INDEX_URL"} & set(told)


def test_bundle_of_pip_counts_unless_a_file_is_named() -> None:
    environment = {"PIP_CERT": "/pip.pem", "PIP_CONFIG_FILE": os.devnull}
    assert variables(environment, "")["PIP_CERT"] == "/pip.pem"
    assert variables({**environment, "SSL_CERT_FILE": "/ours.pem"}, "")["PIP_CERT"] == "/ours.pem"


def test_mirror_on_this_machine_needs_no_proxy() -> None:
    told = variables({"https_proxy": "http://proxy", "PIP_CONFIG_FILE": os.devnull}, "https://127.0.0.1/simple")
    assert "127.0.0.1" in told["no_proxy"]


@pytest.mark.parametrize("place", [".pip", ".config/pip", "Library/Application Support/pip"])
def test_pips_files_are_read_where_pip_reads_them(place: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "pip.conf").write_text(
        "[global]\nindex-url = https://of-all\n[install]\nindex-url = https://one\n"
    )
    assert of_pip("index-url", {"HOME": str(tmp_path)}) == "https://one"
    assert of_pip("index-url", {"HOME": str(tmp_path), "PIP_INDEX_URL": "https://env"}) == "https://env"
    assert of_pip("index-url", {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}) == ""


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("by", ["environment", "file"])
def test_index_is_the_setting_as_the_settings_are_read(
    by: str, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "penstock.toml").write_text('[downloads]\npython_index = "https://of-the-file"\n')
    environment = {"PENSTOCK_CONFIG": str(tmp_path / "penstock.toml")} if whole else {}
    if by == "environment":
        environment["PENSTOCK_DOWNLOADS_PYTHON_INDEX"] = "https://of-the-environment"
    index = configured_index(environment, Path())
    assert index == f"https://of-the-{by}"
    assert read_settings(environment).downloads.python_index.get_secret_value() == index


def test_shell_gets_what_needs_quotes_and_no_package_is_needed() -> None:
    environment = {"PYTHONPATH": str(ROOT / "src"), "PENSTOCK_DOWNLOADS_PYTHON_INDEX": "https://a b'$(false)/"}
    command = [sys.executable, "-S", "-m", "penstock.network.downloads"]
    lines = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "UV_DEFAULT_INDEX=https://a b'$(false)/" in shlex.split(lines)
