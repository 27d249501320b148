"""Settings for downloads by uv and pip: the package index, the trusted certificates, the hosts without a proxy.

`python -m penstock.network.downloads [FOLDER]` prints it as `export` lines for a shell. FOLDER, by default the working
folder, is where a `penstock.toml` may be. Standard library only: `scripts/setup` and the image's build evaluate the
lines before any package is installed.
"""

import configparser
import os
import shlex
import ssl
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from penstock.network.proxies import child_variables, trusted

INDEX_VARIABLE = "PENSTOCK_DOWNLOADS_PYTHON_INDEX"


def variables(environ: Mapping[str, str], index: str) -> dict[str, str]:
    """The environment variables for uv and pip; without an `index` the one that uv or else pip is configured to use.

    A bundle of certificates that pip is configured to use stays in force for pip, unless `SSL_CERT_FILE` is set.
    """
    index = index or environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or of_pip("index-url", environ)
    bundle = next(filter(None, trusted(environ)), "") or of_pip("cert", environ) or _system_bundle()
    told = {
        **child_variables(environ),
        "UV_SYSTEM_CERTS": environ.get("UV_SYSTEM_CERTS", "1"),
        # pip before 24.2 does not know the system's store.
        "PIP_CERT": bundle,
        "UV_DEFAULT_INDEX": index,
        "PIP_INDEX_URL": index,
    }
    return {name: value for name, value in told.items() if value}


def of_pip(option: str, environ: Mapping[str, str]) -> str:
    """An option of pip, from its environment variable or its configuration files; empty where it is not set.

    Read here, because pip is removed from `.venv` by the first set-up, and because uv does not read it at all.
    """
    parser = configparser.RawConfigParser()
    parser.read(_files_of_pip(environ), "utf-8")
    of_files = [parser.get(section, option, fallback="") for section in ("install", "global")]
    return next(filter(None, [environ.get(f"PIP_{option.replace('-', '_').upper()}"), *of_files]), "")


def configured_index(environ: Mapping[str, str], folder: Path) -> str:
    """The setting `downloads.python_index` for callers in `folder`; `penstock.config` cannot be imported this early."""
    if INDEX_VARIABLE in environ:
        return environ[INDEX_VARIABLE]
    file = folder / Path(environ.get("PENSTOCK_CONFIG") or "penstock.toml").expanduser()
    settings = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
    return str(settings.get("downloads", {}).get("python_index", ""))


def _files_of_pip(environ: Mapping[str, str]) -> Iterator[Path]:
    """Its configuration files, later ones win: https://pip.pypa.io/en/stable/topics/configuration/#location"""
    named, home = environ.get("PIP_CONFIG_FILE", ""), Path(environ.get("HOME") or Path.home())
    if named == os.devnull:
        return
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder, "pip", "pip.conf")
    yield from (Path("/Library/Application Support/pip/pip.conf"), Path("/etc/pip.conf"), home / ".pip" / "pip.conf")
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
    yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    if named:
        yield Path(named)


def _system_bundle() -> str:
    """File or folder of the system's store, where this Python's OpenSSL knows one."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or ""


if __name__ == "__main__":
    for name, value in variables(os.environ, configured_index(os.environ, Path(*sys.argv[1:]))).items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201 - what the shell evaluates
