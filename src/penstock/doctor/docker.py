"""Docker and Compose where they are installed; the local stack needs neither, so nothing here is a failure."""

import shutil
import subprocess
from collections.abc import Iterator

from penstock.doctor.finding import Finding, fine, note
from penstock.doctor.versions import COMPOSE, DOCKER, Line

_TIMEOUT_S = 20
_ASKED = (
    ("docker", DOCKER, ("version", "--format", "{{.Server.Version}}")),
    ("compose", COMPOSE, ("compose", "version", "--short")),
)


def docker(program: str = "docker") -> Iterator[Finding]:
    """Whether engine and plugin answer, and are new enough for compose.yaml."""
    if not shutil.which(program):
        yield note("docker", "not installed; only compose.yaml needs it")
        return
    for subject, line, arguments in _ASKED:
        yield _asked(subject, line, (program, *arguments))


def _asked(subject: str, line: Line, command: tuple[str, ...]) -> Finding:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - the user's docker
    except (OSError, subprocess.TimeoutExpired) as error:
        return note(subject, f"docker cannot be run: {error}")
    said = (done.stdout.strip() or done.stderr.strip()).splitlines()
    shown = said[0] if said else f"exit code {done.returncode}"
    if done.returncode != 0:
        return note(subject, shown, "Only compose.yaml needs it")
    return fine(subject, shown) if line.allows(shown) else note(subject, f"is version {shown}", line.fix)
