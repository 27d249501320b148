"""The image that ours is built on: the Dockerfile's where a registry can be reached, else one of Debian's packages."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.compose.engine import Engine, EngineError, run

ROOT = Path(__file__).parents[2]
OWN = "penstock-test-base:bookworm"
_PACKAGES = "ca-certificates,python3,python3-venv,python3-distutils,python3-pip"
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# Files by which this machine reaches its package registries, where it has them; they go into the test's image only.
_CONFIGURATION = (_AUTHORITIES, Path("/etc/pip.conf"))


def base_image(engine: Engine) -> str:
    """The name of an image that the engine has and that ours can be built on."""
    official = official_image()
    if not _has(engine, official):
        try:
            engine.docker("pull", "--quiet", official)
        except EngineError:
            return OWN if _has(engine, OWN) else _imported(engine)
    return official


def _has(engine: Engine, image: str) -> bool:
    return bool(engine.docker("images", "--quiet", image))


def official_image() -> str:
    """The Dockerfile's default."""
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1]


def _imported(engine: Engine) -> str:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="penstock-base-") as folder:
        root = Path(folder) / "root"
        run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", root, *_mirror())
        for leftover in ("var/cache/apt/archives", "var/lib/apt/lists"):
            shutil.rmtree(root / leftover)
        for file in _CONFIGURATION:
            if file.exists():
                shutil.copyfile(file, root / file.relative_to("/"))
        _import(engine, root)
    return OWN


def _mirror() -> list[str]:
    """The mirror that apt uses here, if it says so; else debootstrap's own."""
    sources = "\n".join(file.read_text("utf-8") for file in sorted(Path("/etc/apt/sources.list.d").glob("*.sources")))
    return re.findall(r"^URIs: (\S+/debian)/?$", sources, re.MULTILINE)[:1]


def _import(engine: Engine, root: Path) -> None:
    with subprocess.Popen(["tar", "-C", root, "-c", "."], stdout=subprocess.PIPE) as packed:
        done = subprocess.run(
            ["docker", "import", "--change", f"ENV SSL_CERT_FILE={_AUTHORITIES} PIP_CERT={_AUTHORITIES}", "-", OWN],
            stdin=packed.stdout,
            env=engine.whole_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise EngineError(f"docker import ended with {done.returncode}: {done.stderr}")
