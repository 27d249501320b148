"""Penstock installs in parts: which extra brings a module that is not installed, and in which version.

The extras are those of the installed package's metadata, which pyproject.toml declares.
"""

import re
import traceback
from collections import Counter
from importlib import metadata
from typing import NamedTuple

from penstock.errors import NotInstalledError

_DISTRIBUTIONS = {"airflow": "apache-airflow", "psycopg2": "psycopg2-binary", "py4j": "pyspark"}
"""Module -> the distribution that brings it, where the two have different names."""
_STACK, _LOCAL = "penstock.servers.stack", "local"
"""The module that imports every server of the stack, and the extra that brings all of them."""
_REQUIREMENT = re.compile(r"""^([\w.-]+)(?:\[.*?\])?(?:==([\w.]+))?[^;]*;.*\bextra == ['"]([\w.-]+)['"]""")


class Requirement(NamedTuple):
    """One optional requirement. `version` is empty where several are allowed."""

    distribution: str
    version: str
    extra: str


def not_installed(error: ModuleNotFoundError) -> NotInstalledError | None:
    """The error to raise instead when an extra brings the module: the smallest one, but for the stack the whole of it.

    None when no extra brings it.
    """
    module = (error.name or "").partition(".")[0]
    wanted = _normal(_DISTRIBUTIONS.get(module, module))
    extra = next((one.extra for one in _requirements() if one.distribution == wanted), "")
    if not extra:
        return None
    importers = (frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__))
    return NotInstalledError(wanted, _LOCAL if _STACK in importers else extra)


def absent_extras() -> list[str]:
    """Extras of which something is not installed, the smallest first."""
    return [extra for extra, parts in _by_extra().items() if not all(map(_is_installed, parts))]


def version(distribution: str) -> str:
    """The installed version, else the one that an extra would install."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return next(one.version for one in _requirements() if one.distribution == distribution and one.version)


def _by_extra() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in _requirements():
        found.setdefault(one.extra, []).append(one.distribution)
    return found


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _requirements() -> list[Requirement]:
    """Those of the smallest extras first: a larger one repeats what a smaller one brings."""
    found = (_REQUIREMENT.match(line) for line in metadata.requires("penstock") or [])
    all_of_them = [Requirement(_normal(one[1]), one[2] or "", one[3]) for one in found if one]
    sizes = Counter(one.extra for one in all_of_them)
    return sorted(all_of_them, key=lambda one: sizes[one.extra])


def _normal(name: str) -> str:
    """https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()
