"""The peers at their pinned versions, from the registries of their own clients into a folder of the cache."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.config import read_settings
from penstock.servers.jars.locked import version_of

LATTE, BENTO, DSBULK = "0.29.0", "1.5.0", "1.10.0"
KAFKA = version_of("kafka", "kafka-clients")
_DSBULK_JARS = tuple(
    f"com.datastax.oss:dsbulk-{part}:{DSBULK}"
    for part in (
        *("runner", "workflow-load", "connectors-json", "codecs-text"),
        *("executor-reactor", "batcher-reactor", "cql"),
    )
)
_KAFKA_JARS = (f"org.apache.kafka:kafka-tools:{KAFKA}",)
_TIMEOUT_S = 3_600


@dataclass(frozen=True)
class Installed:
    """A program, or why it is not there."""

    path: Path
    absent: str = ""


def latte(folder: Path) -> Installed:
    """Built by cargo."""
    program = folder / f"latte-{LATTE}" / "bin" / "latte"
    command = ("cargo", "install", "latte-cli", "--version", LATTE, "--locked", "--root", str(program.parents[1]))
    return _built(program, command, Path(__file__).parent)


def bento(folder: Path) -> Installed:
    """Built by Go from `bento/`, with only the components that are needed."""
    program = folder / f"bento-{BENTO}" / "bento"
    return _built(program, ("go", "build", "-trimpath", "-o", str(program), "."), Path(__file__).with_name("bento"))


def dsbulk(folder: Path) -> Installed:
    """Jars, all in one folder."""
    return _fetched(folder, f"dsbulk-{DSBULK}", _DSBULK_JARS)


def kafka_tools(folder: Path) -> Installed:
    """Kafka's own tools, which the broker's jars do not hold; jars as well."""
    return _fetched(folder, f"kafka-tools-{KAFKA}", _KAFKA_JARS)


def _fetched(folder: Path, name: str, coordinates: Sequence[str]) -> Installed:
    """Jars from Maven's repositories, with all that they need."""
    target = folder / name
    if not target.exists():
        partial = target.with_suffix(".part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _fetch(coordinates, folder / "maven", partial)
        except (RuntimeError, OSError, ValueError) as error:  # what jgo raises for an artifact that cannot be had
            return Installed(target, f"{type(error).__name__}: {str(error)[:200]}")
        partial.rename(target)
    return Installed(target)


def _fetch(coordinates: Sequence[str], cache: Path, target: Path) -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415 - takes longer to import than all else here

    from penstock.servers.jars.download import repository  # noqa: PLC0415

    mirror = read_settings().downloads.maven_repository.get_secret_value()
    context = MavenContext(repo_cache=cache, remote_repos={"central": repository(mirror)})
    direct, others = context.resolver.resolve([context.create_dependency(f"{one}!") for one in coordinates])
    for one in (*direct, *(other for other in others if other.scope in ("compile", "runtime"))):
        found = one.artifact.resolve()
        shutil.copy(found, target / f"{one.artifact.groupId}.{found.name}")


def _built(program: Path, command: Sequence[str], where: Path) -> Installed:
    if program.exists():
        return Installed(program)
    program.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which(command[0]) is None:
        return Installed(program, f"{command[0]} is not installed here")
    print(f"building {program.name}: {' '.join(command)}", flush=True)
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return Installed(program, f"{command[0]} ended with exit code {done.returncode}: {last}")
    return Installed(program)
