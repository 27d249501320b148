"""Where packages and jars come from: the Python index, asked by uv as in `scripts/setup`, and the Maven repository."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from penstock.config import Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.doctor.reach import TIMEOUT_S
from penstock.errors import ConfigError
from penstock.extras import not_installed
from penstock.network import http
from penstock.network.downloads import variables
from penstock.servers import jars
from penstock.servers.jars.download import repository
from penstock.servers.jars.locked import Jar, jars_of, missing

_PACKAGE = "truststore"
"""A small one that we need; any other would do."""
_TRUST = "Trust its authority (SSL_CERT_FILE, or the system's store), or correct the proxy or the address: "


def index(settings: Settings) -> Finding:
    """Whether uv finds a package in the index. The default one is not needed once everything is installed."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        return note("python index", "not asked: there is no uv here, which would install packages")
    told = variables(os.environ, settings.downloads.python_index.get_secret_value())
    named = told.get("UV_DEFAULT_INDEX", "")
    problem = _problem_of_uv(uv, told)
    shown = _shown(named) if named else "uv's default one"
    if not problem:
        return fine("python index", f"{shown} has {_PACKAGE}")
    grade = failed if named else note
    return grade("python index", f"{shown}: {problem}", f"{_TRUST}PENSTOCK_DOWNLOADS_PYTHON_INDEX")


def maven(settings: Settings) -> Finding:
    """Whether the repository has the smallest of our jars. The default one is not needed once all are fetched."""
    wanted = jars_of(jars.needed(settings))
    mirror = settings.downloads.maven_repository.get_secret_value()
    try:
        problem = _problem_of(mirror, min(wanted, key=lambda jar: jar.size_bytes))
    except ModuleNotFoundError as error:
        return note("maven repository", f"not asked: {not_installed(error) or error}")
    shown = _shown(mirror) if mirror else "Maven Central"
    if not problem:
        return fine("maven repository", f"{shown} has our jars")
    grade = failed if mirror or missing(wanted, jars.folder(settings)) else note
    return grade("maven repository", f"{shown}: {problem}", f"{_TRUST}PENSTOCK_DOWNLOADS_MAVEN_REPOSITORY")


def _problem_of_uv(uv: Path, told: dict[str, str]) -> str:
    environment = {**os.environ, **told, "UV_HTTP_TIMEOUT": f"{TIMEOUT_S:.0f}", "UV_HTTP_RETRIES": "0"}
    command = (uv, "pip", "compile", "--quiet", "--no-deps", "--no-cache", "-")
    done = subprocess.run(  # noqa: S603 - our own uv
        command, env=environment, input=_PACKAGE, capture_output=True, text=True, check=False
    )
    return " ".join(done.stderr.split()) if done.returncode else ""


def _problem_of(mirror: str, jar: Jar) -> str:
    try:
        with httpx.Client(transport=http.transport(), timeout=TIMEOUT_S, follow_redirects=True) as client:
            answer = client.head(f"{repository(mirror)}/{jar.remote_path}")
    except (httpx.HTTPError, ConfigError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if answer.is_success else f"answers {answer.status_code} for {jar}"


def _shown(address: str) -> str:
    """Without the password that may stand in it."""
    try:
        return str(httpx.URL(address).copy_with(userinfo=b""))
    except httpx.InvalidURL:
        return "what is no address"
