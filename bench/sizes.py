"""How large the parts are: of the first download, on the disk, and in the image.

    scripts/bench sizes, or .venv/bin/python -m bench.sizes [--home FOLDER]

Asks the package index for the sizes of what the locks name, and downloads nothing. With `--home`, what a stack there
holds is listed too. Prints Markdown tables.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.tags import sys_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from penstock.config import read_settings
from penstock.servers import jars
from penstock.servers.jars.locked import Jar, locked

ROOT = Path(__file__).parents[1]
_SHOWN = 10
_MB = 1e6


@dataclass(frozen=True)
class Part:
    """A package, or a set of jars. The image has some parts without what nothing loads."""

    name: str
    download_bytes: int
    disk_bytes: int
    image_bytes: int


def packages(root: Path) -> list[Part]:
    """Of what `scripts/demo` installs; uv and the build backend, which install it, are not in the image."""
    pins, tools = pinned((root / "requirements.runtime.lock").read_text("utf-8")), installers(root)
    downloads = asked({**tools, **pins})
    omitted = [*left_out((root / "Dockerfile").read_text("utf-8"))]
    found = []
    for name, download_bytes in downloads.items():
        sizes = installed(name)
        held = sum(sizes.values())
        gone = sum(size for path, size in sizes.items() if any(_is_in(path, pattern) for pattern in omitted))
        found.append(Part(name, download_bytes, held, held - gone if name in pins else 0))
    return found


def pinned(lock: str) -> dict[str, str]:
    """Name -> requirement, as a lock has them: with the version and the marker, without hashes."""
    lines = re.findall(r"^([\w.-]+)(==[^\\\n]+)", lock, re.MULTILINE)
    return {canonicalize_name(name): name + rest.strip() for name, rest in lines}


def installers(root: Path) -> dict[str, str]:
    """What `scripts/setup` installs with pip, to install the rest with."""
    names = re.search(r"/\^\((uv\|[^)]*)\)==/", (root / "scripts" / "setup").read_text("utf-8"))
    if names is None:
        raise SystemExit("scripts/setup does not say any more which packages install the others")
    pins = pinned((root / "requirements.lock").read_text("utf-8"))
    return {name: pins[name] for name in names[1].split("|")}


def left_out(dockerfile: str) -> Iterator[str]:
    """Patterns of what the image's build deletes, from the packages' folder."""
    found = re.search(r"&& rm -r (.*?) \\\n +&& cd (\S+) \\\n +&& rm (.*?)\n\n", dockerfile, re.DOTALL)
    if found is None:
        raise SystemExit("the Dockerfile does not say any more what it leaves out")
    folders, place, files = found.groups()
    yield from (f"{folder}/*" for folder in folders.split())
    yield from (f"{place}/{pattern}" for pattern in files.replace("\\\n", " ").split())


def asked(pins: Mapping[str, str]) -> dict[str, int]:
    """Name -> bytes to download on this machine. uv asks the index: a lock in the format of PEP 751 has the sizes."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, answer = Path(folder) / "wanted.txt", Path(folder) / "pylock.toml"
        wanted.write_text("\n".join(pins.values()), "utf-8")
        uv = (str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-deps", "--no-header")
        python = ("--python", sys.executable)
        subprocess.run((*uv, *python, "--format", "pylock.toml", str(wanted), "-o", str(answer)), check=True)
        return {one["name"]: chosen(one) for one in tomllib.loads(answer.read_text("utf-8"))["packages"]}


def chosen(package: Mapping[str, Any]) -> int:
    """The size of the wheel that fits this machine best, else of the source."""
    order = {tag: position for position, tag in enumerate(sys_tags())}
    ranked = [
        (min(order[tag] for tag in fitting), wheel["size"])
        for wheel in package.get("wheels", ())
        if (fitting := parse_wheel_filename(wheel["url"].rsplit("/", 1)[1])[3] & order.keys())
    ]
    size: int = min(ranked)[1] if ranked else package["sdist"]["size"]
    return size


def installed(name: str) -> dict[str, int]:
    """Bytes of each file of a package, compiled ones too, by its path in the packages' folder; none if it is absent."""
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        return {}
    there = {str(file): Path(str(file.locate())) for file in files}
    for file, path in list(there.items()):
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc") if path.suffix == ".py" else ():
            there[f"{file}c"] = compiled
    return {file: path.stat().st_size for file, path in there.items() if path.is_file()}


def _is_in(path: str, pattern: str) -> bool:
    if pattern.endswith("/*"):
        return path.startswith(pattern.removesuffix("*"))
    return Path(path).match(pattern)


def sets_of_jars(needed: Iterable[str]) -> list[Part]:
    """Each set, a jar of several sets in the first. The image has all of them."""
    counted: set[Jar] = set()
    parts = []
    for name in (*needed, *(other for other in jars.SETS if other not in needed)):
        size = sum(jar.size_bytes for jar in set(locked(name)) - counted)
        counted |= {*locked(name)}
        first = size if name in needed else 0
        parts.append(Part(f"jars of {name}", first, first, size))
    return parts


def table(parts: Sequence[Part]) -> str:
    """The largest, each with its three sizes; the others in one line, and all in another."""
    ranked = sorted(parts, key=lambda part: part.disk_bytes + part.download_bytes, reverse=True)
    largest, others = ranked[:_SHOWN], ranked[_SHOWN:]
    rows = [*largest, _sum(f"{len(others)} others", others), _sum(f"all {len(ranked)}", ranked)]
    lines = (" | ".join((one.name, *map(_mb, (one.download_bytes, one.disk_bytes, one.image_bytes)))) for one in rows)
    return "| part | to download | on the disk | in the image |\n|---|--:|--:|--:|\n" + "".join(
        f"| {line} |\n" for line in lines
    )


def _sum(name: str, parts: Sequence[Part]) -> Part:
    download = sum(part.download_bytes for part in parts)
    return Part(name, download, sum(part.disk_bytes for part in parts), sum(part.image_bytes for part in parts))


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / _MB:.0f} MB" if size_bytes else ""


def held(folders: Iterable[Path]) -> Iterator[str]:
    """What a stack has written: rows of a table, without what is less than a megabyte."""
    yield "| folder | on the disk |\n|---|--:|"
    for folder in folders:
        size = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
        if size > _MB:
            yield f"| {folder.parent.name}/{folder.name} | {_mb(size)} |"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="of a stack, whose data are listed too")
    options = parser.parse_args()
    settings = read_settings()
    print(table([*packages(ROOT), *sets_of_jars(jars.needed(settings))]))
    if options.home:
        places = (options.home / "data", options.home, settings.cache)
        print(
            "\n".join(held(folder for place in places for folder in sorted(place.glob("*/")) if folder.name != "data"))
        )


if __name__ == "__main__":
    main()
