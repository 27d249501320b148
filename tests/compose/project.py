"""The stack of compose.yaml on an engine, with secrets and a name of its own."""

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.compose.base import ROOT, base_image
from tests.compose.engine import Engine, EngineError, run

UP_TIMEOUT_S = 900
IMAGE = f"penstock:{version('penstock')}"


@dataclass
class Project:
    """One stack. `figures` are what was measured on the way, for people."""

    engine: Engine
    folder: Path
    """Holds `.env`."""
    name: str = "penstock-test"
    figures: dict[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str) -> str:
        """What `docker compose …` printed on stdout; it must succeed."""
        return self.engine.docker(*self._compose(*arguments))

    def penstock(self, *arguments: str) -> str:
        """What a command of ours printed, run as docs/docker.md says."""
        return self.compose("run", "--rm", "-T", "penstock", *arguments)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """The same, running."""
        return self.engine.start(*self._compose("run", "--rm", "-T", "penstock", *arguments))

    def build(self) -> None:
        """Makes the image; its base is the Dockerfile's own where that can be had."""
        base = base_image(self.engine)
        self.figures["base image"] = base
        began = time.monotonic()
        arguments = ["--network=host", "--build-arg", f"BASE_IMAGE={base}", "--tag", IMAGE]
        self.engine.docker("build", "--quiet", *arguments, str(ROOT))
        self.figures["build"] = f"{time.monotonic() - began:.0f} s"
        size_bytes = int(self.engine.docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
        self.figures["image"] = f"{size_bytes / 1e6:.0f} MB"

    def up(self, what: str, *services: str) -> None:
        """Starts these services, or everything; returns when all are healthy."""
        began = time.monotonic()
        try:
            self.compose("up", "--no-build", "--wait", "--wait-timeout", str(UP_TIMEOUT_S), *services)
        except EngineError as error:
            error.add_note(self.compose("logs", "--tail", "40"))
            raise
        self.figures[f"healthy, {what}"] = f"{time.monotonic() - began:.0f} s"

    def with_zookeeper(self) -> "Project":
        """The same image as another stack, whose Kafka keeps its metadata in ZooKeeper."""
        return self._other("zookeeper", {"PENSTOCK_STACK_KAFKA": "zookeeper"})

    def secure(self) -> "Project":
        """The same image as another stack, whose servers ask who calls."""
        return self._other("secure", {"PENSTOCK_STACK_SECURE": "true"})

    def env(self) -> dict[str, str]:
        """What `.env` says."""
        lines = (self.folder / ".env").read_text("ascii").splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    def _other(self, profile: str, chosen: dict[str, str]) -> "Project":
        engine = Engine({**self.engine.environment, "COMPOSE_PROFILES": profile, **chosen})
        return Project(engine, self.folder, f"{self.name}-{profile}", self.figures)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Service -> what the engine knows of its container."""
        ids = self.compose("ps", "--all", "--quiet").split()
        found = json.loads(self.engine.docker("inspect", *ids))
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}

    def memory(self) -> str:
        """What all containers hold together, as the engine counts it."""
        lines = self.engine.docker("stats", "--no-stream", "--format", "{{.MemUsage}}").splitlines()
        return f"{sum(mebibytes(line.split(' / ')[0]) for line in lines) / 1024:.2f} GiB"

    def kill(self, service: str) -> None:
        """kill -9 for the server itself, from within its container: the engine has no part in it."""
        self.compose("exec", "-T", service, "sh", "-c", "kill -9 $(cat /proc/1/task/1/children)")

    def restarts(self, service: str) -> int:
        return int(self.containers()[service]["RestartCount"])

    def remove(self) -> None:
        """Containers, network and volumes."""
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "10")

    def _compose(self, *arguments: str) -> list[str]:
        files = ["--file", str(ROOT / "compose.yaml"), "--env-file", str(self.folder / ".env")]
        return ["compose", "--project-name", self.name, "--project-directory", str(ROOT), *files, *arguments]


def make_env(folder: Path) -> None:
    """What `scripts/env` makes of the repository, in another folder."""
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "env", folder / "scripts")
    shutil.copy(ROOT / ".env.example", folder)
    run(folder / "scripts" / "env")


def mebibytes(text: str) -> float:
    """`1.5GiB` as the engine writes it."""
    units = {"GiB": 1024, "MiB": 1, "KiB": 1 / 1024}
    unit = next(unit for unit in units if text.endswith(unit))
    return float(text.removesuffix(unit)) * units[unit]
