"""Real API servers that we did not write, each with the same rows: Datasette and json-server."""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from penstock.config import child_environment
from tests.apis import Row
from tests.waiting import until

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "json_server"
COUNT = 247
ROWS: list[Row] = [
    {"id": number, "name": f"Łódź {number}", "note": None if number % 3 else "a\u2028b", "size": number / 4}
    for number in range(1, COUNT + 1)
]


@pytest.fixture(scope="session")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the table's pages, without parameters."""
    folder = tmp_path_factory.mktemp("datasette")
    with sqlite3.connect(folder / "shop.db") as database:
        database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, note TEXT, size REAL)")
        database.executemany("INSERT INTO things VALUES (:id, :name, :note, :size)", ROWS)
    database.close()
    port = free_port()
    command = [sys.executable, "-m", "datasette", "serve", "shop.db", "--host", "127.0.0.1", "--port", str(port)]
    with running(command, folder, f"http://127.0.0.1:{port}/shop/things.json") as url:
        yield url


@pytest.fixture(scope="session")
def json_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the list, without parameters."""
    folder = tmp_path_factory.mktemp("json-server")
    (folder / "db.json").write_text(json.dumps({"things": ROWS}), "utf-8")
    port = free_port()
    program = installed_json_server() / "node_modules" / "json-server" / "lib" / "cli" / "bin.js"
    command = [node("node"), str(program), "db.json", "--host", "127.0.0.1", "--port", str(port), "--quiet"]
    with running(command, folder, f"http://127.0.0.1:{port}/things") as url:
        yield url


def installed_json_server() -> Path:
    """Folder with the locked json-server; npm puts it there once for each lock."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = ROOT / "build" / f"json-server-{sha256(lock).hexdigest()[:12]}"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE, folder)
        # No scripts of packages are run. The user's npm configuration says where packages come from.
        command = [node("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"json-server could not be installed: {done.stderr[-2_000:]}"
        (folder / "done").touch()
    return folder


def node(program: str) -> str:
    found = shutil.which(program)
    assert found, f"{program} is not here: these tests run json-server, which needs Node.js 18 or later with npm"
    return found


@contextmanager
def running(command: Sequence[str], folder: Path, url: str) -> Iterator[str]:
    """The server, from its first good answer on; stopped at the end."""
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=child_environment({})
        )
    try:
        until(lambda: _answers(server, url, folder / "server.log"))
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _answers(server: "subprocess.Popen[bytes]", url: str, log: Path) -> bool:
    assert server.poll() is None, f"the server ended with {server.returncode}: {log.read_text('utf-8')[-2_000:]}"
    try:
        return httpx.get(url, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as lent:
        lent.bind(("127.0.0.1", 0))
        port: int = lent.getsockname()[1]
        return port
