"""A package index and a Maven repository of a test's own, on loopback over TLS, and the wheels and jars in them."""

import hashlib
import ssl
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from penstock.servers.jars.locked import Jar
from tests import servers
from tests.certificates import Authority


@dataclass(frozen=True)
class Mirrors:
    """Both, served from one folder; only who trusts `authority` gets anything."""

    folder: Path
    url: str
    authority: Path

    @property
    def index(self) -> str:
        return f"{self.url}/simple"

    @property
    def repository(self) -> str:
        return f"{self.url}/maven"

    def holds_wheel(self, name: str, version: str, files: Mapping[str, bytes]) -> str:
        """Puts a wheel with these files into the index; returns its line for a file of requirements."""
        page = self.folder / "simple" / name
        page.mkdir(parents=True)
        wheel = page / f"{name}-{version}-py3-none-any.whl"
        write_wheel(wheel, name, version, files)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (page / "index.html").write_text(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>')
        return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"

    def holds_jar(self, name: str) -> Jar:
        """Puts a jar into the repository."""
        content = name.encode() * 1_000
        jar = Jar("org.example", name, "1.0", "", hashlib.sha256(content).hexdigest(), len(content))
        self.put_jar(jar, content)
        return jar

    def put_jar(self, jar: Jar, content: bytes) -> None:
        """Puts a file where the repository has that jar."""
        file = self.folder / "maven" / jar.remote_path
        file.parent.mkdir(parents=True)
        file.write_bytes(content)


def write_wheel(file: Path, name: str, version: str, files: Mapping[str, bytes]) -> None:
    """A wheel with these files, those in `*.data/scripts` as programs."""
    info = f"{name}-{version}.dist-info"
    about = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, *about, f"{info}/RECORD"))
    with zipfile.ZipFile(file, "w") as packed:
        for path, content in {**files, **about, f"{info}/RECORD": record.encode()}.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (stat.S_IFREG | 0o755) << 16  # a program must be executable
            packed.writestr(entry, content)


@contextmanager
def mirrors(folder: Path) -> Iterator[Mirrors]:
    """Serves `folder`/served, with certificates beside it."""
    authority = Authority(folder)
    (folder / "served").mkdir()
    with served_over_tls(authority, partial(_Quiet, directory=str(folder / "served"))) as url:
        yield Mirrors(folder / "served", url, authority.file)


@contextmanager
def served_over_tls(
    authority: Authority, handler: "type[SimpleHTTPRequestHandler] | partial[_Quiet]", named: str = "127.0.0.1"
) -> Iterator[str]:
    """A server on loopback with a certificate of the authority, which names that address; yields its real address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("server", address=named))
    server = _QuietServer(("127.0.0.1", 0), handler)
    # Each connection's thread does its own handshake, so that one which is refused does not end the server.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with servers.answering(server):
        yield f"https://127.0.0.1:{server.server_port}"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Says nothing."""


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not trust us hangs up, which is what some tests are about."""
