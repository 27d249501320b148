"""A container engine for the tests: the one that is here, else one of Debian's, started for them and ended after them.

`python -m tests.compose.engine` tells in one line why there is none, by exit code 1; installs nothing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

# Debian's packages bring no Compose; its source comes from the Go module proxy, checked against Go's sum database.
COMPOSE_MODULE = "github.com/docker/compose/v5@v5.5.1"
CACHE = Path.home() / ".cache" / "penstock-compose-test"
PLUGIN = "docker-compose"
_START_TIMEOUT_S = 60


class NoEngineError(Exception):
    """There is no engine and no way to get one; the text is one line that says why."""


class EngineError(Exception):
    """A command of the engine failed."""


@dataclass(frozen=True)
class Engine:
    """Where `docker` finds the engine and Compose."""

    environment: Mapping[str, str] = field(default_factory=dict)

    def docker(self, *arguments: str) -> str:
        """What the command printed on stdout.

        Raises:
            EngineError: it failed; says how.
        """
        return run("docker", *arguments, environment=self.environment)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, running."""
        return subprocess.Popen(("docker", *arguments), env=self.whole_environment(), stdout=subprocess.PIPE, text=True)

    def whole_environment(self) -> dict[str, str]:
        """For a process that calls `docker`."""
        return {**os.environ, **self.environment}


def run(*command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """Runs a command that must succeed and returns its stdout."""
    try:
        done = subprocess.run(
            command, env={**os.environ, **(environment or {})}, cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise EngineError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        words = " ".join(map(str, command))
        raise EngineError(f"`{words}` ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-6000:]}")
    return done.stdout


def usable() -> Engine:
    """The engine that is here, with Compose.

    Raises:
        NoEngineError: there is none, or it does not answer.
    """
    engine = Engine()
    try:
        engine.docker("info", "--format", "{{.ServerVersion}}")
        engine.docker("compose", "version")
    except EngineError as error:
        raise NoEngineError(" ".join(str(error).split())[:200]) from error
    return engine


@contextmanager
def engine() -> Iterator[Engine]:
    """A usable engine: the one that is here, else our own.

    Raises:
        NoEngineError: neither is to be had.
    """
    try:
        found = usable()
    except NoEngineError as error:
        _require_debian(error)
    else:
        yield found
        return
    _install()
    with _daemon() as own:
        yield own


def _require_debian(why: NoEngineError) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None or shutil.which("go") is None:
        missing = "root on Debian, with Go, could install one, and this is not"
        raise NoEngineError(f"no container engine ({why}), and {missing}") from why


def _install() -> None:
    absent = {"dockerd": "docker.io", "debootstrap": "debootstrap", "docker-init": "tini"}
    packages = [package for program, package in absent.items() if shutil.which(program) is None]
    if packages:
        run("apt-get", "update", "-qq")
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
    if not (CACHE / PLUGIN).exists():
        _build_compose()


def _build_compose() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    source = json.loads(run("go", "mod", "download", "-json", COMPOSE_MODULE))["Dir"]
    with tempfile.TemporaryDirectory() as folder:
        # As the main module, for Go installs none whose go.mod has `exclude`; in a copy, for Go's cache is read-only.
        copy = shutil.copytree(source, Path(folder) / "compose", copy_function=shutil.copyfile)
        for path in [copy, *copy.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        run("go", "build", "-trimpath", "-ldflags=-s -w", "-o", CACHE / PLUGIN, "./cmd", folder=copy)


@contextmanager
def _daemon() -> Iterator[Engine]:
    """A dockerd with socket and data of its own; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-docker-", dir="/var/tmp"))
    socket = f"unix://{folder}/socket"
    plugins = folder / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / PLUGIN).symlink_to(CACHE / PLUGIN)
    with (folder / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(_command(folder, socket), stdout=log, stderr=log, start_new_session=True)
    try:
        own = Engine({"DOCKER_HOST": socket, "DOCKER_CONFIG": str(plugins.parent), "DOCKER_BUILDKIT": "0"})
        _wait_until_ready(own, daemon, folder / "dockerd.log")
        yield own
    finally:
        daemon.terminate()
        daemon.wait(120)
        _unmount(folder)  # dockerd leaves the mark of its network namespace
        shutil.rmtree(folder)


def _unmount(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        run("umount", mount)


def _command(folder: Path, socket: str) -> list[str]:
    places = {"data-root": "data", "exec-root": "run", "pidfile": "pid"}
    # No bridge of its own: that has one name on a machine, and Compose makes the networks that it needs.
    options = [f"--{option}={folder / name}" for option, name in places.items()]
    return ["dockerd", *options, f"--host={socket}", "--bridge=none", "--log-level=warn"]


def _wait_until_ready(own: Engine, daemon: subprocess.Popen[bytes], log: Path) -> None:
    def ask() -> None:
        if daemon.poll() is not None:
            raise NoEngineError(f"dockerd ended with {daemon.returncode}: {log.read_text()[-2000:]}")
        own.docker("info")

    Retrying(
        retry=retry_if_exception_type(EngineError),
        stop=stop_after_delay(_START_TIMEOUT_S),
        wait=wait_fixed(0.2),
        reraise=True,
    )(ask)


if __name__ == "__main__":
    try:
        usable()
    except NoEngineError as error:
        sys.exit(f"penstock: left out tests/compose: {error}")
