"""Jars arrive whole, checked and once."""

import hashlib
import multiprocessing
import os
import signal
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from threading import Event

import pytest

from penstock.config import Settings
from penstock.errors import ConfigError, DownloadError
from penstock.servers import jars
from penstock.servers.jars import own
from penstock.servers.jars.download import download
from penstock.servers.jars.download import repository as mirror
from penstock.servers.jars.locked import SETS, Jar, jars_of, locked, missing, spec_file
from penstock.servers.jars.progress import Progress
from tests import servers
from tests.waiting import until


@dataclass
class Repository:
    """A Maven repository on a loopback port: path -> bytes, or the status it answers with instead."""

    files: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, list[int]] = field(default_factory=dict)
    """Statuses still to be given for a path before its bytes are."""
    asked: Counter[str] = field(default_factory=Counter)
    stalled: str = ""
    """A path of which only half is sent until `go_on` is set."""
    go_on: Event = field(default_factory=Event)
    url: str = ""

    def holds(self, name: str, content: bytes | None = None) -> Jar:
        content = name.encode() * 1000 if content is None else content
        jar = Jar("org.example", name, "1.0", "", hashlib.sha256(content).hexdigest(), len(content))
        self.files[f"/{jar.remote_path}"] = content
        return jar


def _answer(repository: Repository, request: BaseHTTPRequestHandler) -> None:
    path = request.path
    repository.asked[path] += 1
    failures = repository.failures.get(path)
    if failures or path not in repository.files:
        request.send_error(failures.pop(0) if failures else 404)
        return
    content = repository.files[path]
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    half = len(content) // 2
    request.wfile.write(content[:half])
    request.wfile.flush()
    if path == repository.stalled:
        repository.go_on.wait(30)
    request.wfile.write(content[half:])


@contextmanager
def served(repository: Repository) -> Iterator[Repository]:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                _answer(repository, self)
            except ConnectionError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    repository.url = f"http://127.0.0.1:{server.server_port}"
    with servers.answering(server):
        try:
            yield repository
        finally:
            repository.go_on.set()


@pytest.fixture
def repository() -> Iterator[Repository]:
    with served(Repository()) as repository:
        yield repository


def fetch(wanted: list[Jar], folder: Path, url: str) -> list[Progress]:
    seen: list[Progress] = []
    download(wanted, folder, url, seen.append)
    return seen


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {".lock"}


def test_fetches_what_is_missing(repository: Repository, tmp_path: Path) -> None:
    wanted = [repository.holds(f"jar{i}") for i in range(20)]
    last = fetch(wanted, tmp_path, repository.url)[-1]
    total = sum(jar.size_bytes for jar in wanted)
    assert last == Progress(20, 20, total, total, total)
    assert not missing(wanted, tmp_path)
    assert wanted[3].path(tmp_path).read_bytes() == b"jar3" * 1000


def test_fetches_nothing_twice(repository: Repository, tmp_path: Path) -> None:
    first, second = repository.holds("first"), repository.holds("second")
    fetch([first], tmp_path, repository.url)
    last = fetch([first, second], tmp_path, repository.url)[-1]
    assert set(repository.asked.values()) == {1}
    assert (last.bytes_downloaded, last.bytes_done) == (second.size_bytes, first.size_bytes + second.size_bytes)


def test_file_of_another_size_is_fetched_again(repository: Repository, tmp_path: Path) -> None:
    jar = repository.holds("jar")
    jar.path(tmp_path).parent.mkdir()
    jar.path(tmp_path).write_bytes(b"cut")
    fetch([jar], tmp_path, repository.url)
    assert jar.path(tmp_path).stat().st_size == jar.size_bytes


def test_refuses_another_content(repository: Repository, tmp_path: Path) -> None:
    jar = repository.holds("jar")
    other = b"x" * jar.size_bytes
    repository.files[f"/{jar.remote_path}"] = other
    with pytest.raises(DownloadError) as refusal:
        fetch([jar], tmp_path, repository.url)
    message = str(refusal.value)
    assert jar.sha256 in message
    assert hashlib.sha256(other).hexdigest() in message
    assert f"{repository.url}/{jar.remote_path}" in message
    assert not files_in(tmp_path)


def test_takes_no_more_bytes_than_are_locked(repository: Repository, tmp_path: Path) -> None:
    jar = repository.holds("jar")
    repository.files[f"/{jar.remote_path}"] = b"x" * 1_000_000
    with pytest.raises(DownloadError, match=f"expected {jar.size_bytes} bytes, got more"):
        fetch([jar], tmp_path, repository.url)


def test_tries_again_when_the_repository_is_busy(repository: Repository, tmp_path: Path) -> None:
    jar = repository.holds("jar")
    repository.failures[f"/{jar.remote_path}"] = [503, 429]
    fetch([jar], tmp_path, repository.url)
    assert not missing([jar], tmp_path)


def test_error_says_where_it_looked_and_what_to_do(repository: Repository, tmp_path: Path) -> None:
    jar = Jar("org.example", "absent", "1.0", "", "0" * 64, 1)
    address = repository.url.replace("://", "://name:secret@")
    with pytest.raises(DownloadError) as refusal:
        fetch([jar], tmp_path, address)
    message = str(refusal.value)
    assert f"jar org.example:absent:1.0 could not be fetched; tried: {repository.url}/org/example/" in message
    assert "HTTP 404" in message
    assert "PENSTOCK_DOWNLOADS_MAVEN_REPOSITORY" in message
    assert "secret" not in message


def test_what_came_before_a_failure_is_kept(repository: Repository, tmp_path: Path) -> None:
    good = repository.holds("good")
    fetch([good], tmp_path, repository.url)
    absent = Jar("org.example", "absent", "1.0", "", "0" * 64, 1)
    with pytest.raises(DownloadError):
        fetch([good, absent], tmp_path, repository.url)
    assert not missing([good], tmp_path)


def _fetch_apart(wanted: list[Jar], folder: Path, url: str) -> None:
    download(wanted, folder, url, lambda progress: None)


def apart(wanted: list[Jar], folder: Path, url: str) -> multiprocessing.process.BaseProcess:
    """A process that fetches them."""
    process = multiprocessing.get_context("spawn").Process(target=partial(_fetch_apart, wanted, folder, url))
    process.start()
    return process


def test_goes_on_after_kill(repository: Repository, tmp_path: Path) -> None:
    first, second = repository.holds("first"), repository.holds("second")
    repository.stalled = f"/{second.remote_path}"
    process = apart([first, second], tmp_path, repository.url)
    until(lambda: not missing([first], tmp_path) and repository.asked[repository.stalled] == 1)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    repository.go_on.set()
    fetch([first, second], tmp_path, repository.url)
    assert files_in(tmp_path) == {first.file_name, second.file_name}
    assert repository.asked[f"/{first.remote_path}"] == 1


def test_two_processes_fetch_once(repository: Repository, tmp_path: Path) -> None:
    wanted = [repository.holds(f"jar{i}") for i in range(5)]
    repository.stalled = f"/{wanted[0].remote_path}"
    processes = [apart(wanted, tmp_path, repository.url) for _ in range(2)]
    until(lambda: repository.asked[repository.stalled] == 1)
    repository.go_on.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert set(repository.asked.values()) == {1}


def test_complete_cache_needs_no_network(settings: Settings, tmp_path: Path) -> None:
    alone = settings.model_copy(update={"cache": tmp_path / "cache"})
    wanted = jars_of(jars.needed(alone))
    for jar in wanted:
        path = jar.path(jars.folder(alone))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(jar.size_bytes)
    seen: list[Progress] = []
    jars.fetch(alone, seen.append)
    assert [(one.files_done, one.bytes_downloaded) for one in seen] == [(len(wanted), 0)]


@pytest.mark.parametrize(("mode", "unwanted"), [("kraft", "zookeeper"), ("zookeeper", "kafka")])
def test_of_the_two_kafkas_one_is_needed(settings: Settings, mode: str, unwanted: str) -> None:
    chosen = settings.model_copy(update={"stack": settings.stack.model_copy(update={"kafka": mode})})
    assert set(jars.needed(chosen)) == set(SETS) - {unwanted}


def test_mirror_takes_the_place_of_maven_central(repository: Repository, tmp_path: Path) -> None:
    jar = repository.holds("jar")
    fetch([jar], tmp_path, mirror(f"{repository.url}/"))
    assert not missing([jar], tmp_path)
    assert mirror().startswith("https://")


@pytest.mark.parametrize("address", ["me:secret@mirror.example", "ftp://me:secret@x", "https://me:secret@x:port"])
def test_mirror_that_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError, match=r"downloads\.maven_repository") as refusal:
        mirror(address)
    assert "secret" not in str(refusal.value)


def test_classpath_is_the_lock_in_the_cache(settings: Settings) -> None:
    paths = jars.classpath(settings, "kafka")
    assert [path.name for path in paths] == [jar.file_name for jar in locked("kafka")]
    assert all(path.is_relative_to(settings.cache) for path in paths)


@pytest.mark.parametrize("name", SETS)
def test_lock_holds_what_is_declared(name: str) -> None:
    declared = tomllib.loads(spec_file(name).read_text("utf-8"))["dependencies"]["coordinates"]
    assert set(declared) <= {str(jar) for jar in locked(name)}


@pytest.mark.parametrize("name", SETS)
def test_lock_holds_one_version_of_each(name: str) -> None:
    versions = Counter((jar.group, jar.artifact, jar.classifier) for jar in locked(name))
    assert [key for key, count in versions.items() if count > 1] == []


def test_pyspark_and_the_lock_share_no_jar() -> None:
    bundled = [file.name for file in metadata.files("pyspark") or [] if file.parent.name == "jars"]
    assert len(bundled) > 100
    shared = [jar for jar in locked("spark") if any(name.startswith(f"{jar.artifact}-") for name in bundled)]
    assert shared == []


def test_kafka_connector_has_the_version_of_pyspark() -> None:
    versions = {jar.version for jar in locked("spark") if jar.artifact.startswith("spark-sql-kafka")}
    assert versions == {metadata.version("pyspark")}


def test_the_lock_is_that_of_our_sources() -> None:
    assert own.sources_sha256() == own.locked_sha256("sources_sha256")
