"""Every part that the locks name, with its hashes and its licence."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from penstock.servers.jars.locked import SETS, locked

ROOT = Path(__file__).parents[1]
_LICENCES = ROOT / "supply" / "licences.toml"
_ENTRY = re.compile(r"^([a-z0-9][\w.-]*)==([^\s;\\]+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_SHA256 = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Part:
    """One locked wheel, or one locked jar. A wheel has a hash for each platform, of which one is installed."""

    url: PackageURL
    sha256: tuple[str, ...]
    used_by: tuple[str, ...]
    """What needs it: `run time` or `development`, and of jars the sets."""

    @property
    def key(self) -> str:
        """By which `licences.toml` knows it."""
        return f"{self.url.namespace}:{self.url.name}" if self.url.namespace else self.url.name

    @property
    def is_in_use(self) -> bool:
        """Whether it is there at run time, and not only while one develops."""
        return self.used_by != ("development",)

    @property
    def licence(self) -> str:
        """An SPDX expression; empty where nobody entered it."""
        return licences()[self.url.type].get(self.key, "")


def parts() -> list[Part]:
    """All of them, by name."""
    return sorted((*wheels(), *jars()), key=lambda part: part.url.to_string())


def wheels() -> Iterator[Part]:
    """Of `requirements.lock`, which has all that `requirements.runtime.lock` has."""
    in_use = {name for name, _, _ in _locked("requirements.runtime.lock")}
    for name, version, hashes in _locked("requirements.lock"):
        yield Part(
            PackageURL("pypi", name=name, version=version), hashes, ("run time" if name in in_use else "development",)
        )


def jars() -> Iterator[Part]:
    """Of every set, each jar once."""
    found: dict[PackageURL, tuple[str, list[str]]] = {}
    for name in SETS:
        for jar in locked(name):
            qualifiers = {"classifier": jar.classifier} if jar.classifier else {}
            url = PackageURL("maven", jar.group, jar.artifact, jar.version, {"type": "jar", **qualifiers})
            found.setdefault(url, (jar.sha256, []))[1].append(name)
    for url, (sha256, names) in found.items():
        yield Part(url, (sha256,), tuple(names))


@cache
def licences() -> dict[str, dict[str, str]]:
    """`pypi` and `maven` -> the part's name -> its licence."""
    found: dict[str, Any] = tomllib.loads(_LICENCES.read_text("utf-8"))
    return found


def own_version() -> str:
    """Penstock's."""
    found: str = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return found


def _locked(file: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for name, version, rest in _ENTRY.findall((ROOT / file).read_text("utf-8")):
        yield name, version, tuple(sorted(set(_SHA256.findall(rest))))
