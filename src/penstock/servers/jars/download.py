"""Brings jars from a Maven repository into a folder: in parallel, checked while they arrive, each under its name only
when whole."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

import httpx
from tenacity import Retrying, retry_if_exception, sleep_using_event, stop_after_attempt, wait_random_exponential

from penstock.errors import ConfigError, DownloadError
from penstock.locks import HeldError, held
from penstock.network.http import transport, untrusted
from penstock.servers.jars.locked import Jar, missing
from penstock.servers.jars.progress import Progress
from penstock.urls import shown

log = logging.getLogger(__name__)

_PARALLEL = 8
_ATTEMPTS = 4
_REPORT_INTERVAL_S = 0.1
_AS_IT_IS = {"Accept-Encoding": "identity"}
_TIMEOUT = httpx.Timeout(30, connect=10)


def repository(mirror: str = "") -> str:
    """The address of the Maven repository to ask: the mirror where one is named, else Maven Central's.

    Raises:
        ConfigError: the mirror is no address; it is not shown, for it may hold a password.
    """
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - takes longer to import than a test may take

    address = (mirror or MAVEN_CENTRAL_URL).rstrip("/")
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ConfigError(f"setting downloads.maven_repository is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError("setting downloads.maven_repository must begin with http:// or https:// and name a host")
    return address


def download(jars: Sequence[Jar], folder: Path, address: str, on_progress: Callable[[Progress], None]) -> None:
    """Fetches what `folder` lacks of `jars`; see `penstock.servers.jars.fetch` for what is promised."""
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder, lambda: on_progress(_Tally(jars, folder).progress())):
        tally = _Tally(jars, folder)
        with httpx.Client(follow_redirects=True, timeout=_TIMEOUT, headers=_AS_IT_IS, transport=transport()) as client:
            _fetch_all(_Fetcher(client, folder, address, tally), on_progress)
        on_progress(tally.progress())


@contextmanager
def _only_one(folder: Path, while_waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the folder against other processes; the kernel gives it back when we die, however we die."""
    with ExitStack() as holding:
        while not _holds(folder / ".lock", holding):
            while_waiting()
        yield


def _holds(file: Path, holding: ExitStack) -> bool:
    try:
        holding.enter_context(held(file, _REPORT_INTERVAL_S))
    except HeldError:
        return False
    return True


class _Tally:
    """Counts files and bytes for all threads."""

    def __init__(self, jars: Sequence[Jar], folder: Path) -> None:
        self.missing = missing(jars, folder)
        self._files_total = len(jars)
        self._bytes_total = sum(jar.size_bytes for jar in jars)
        self._files_done = len(jars) - len(self.missing)
        self._bytes_done = self._bytes_total - sum(jar.size_bytes for jar in self.missing)
        self._downloaded = 0
        self._lock = Lock()

    def arrived(self, size_bytes: int) -> None:
        with self._lock:
            self._bytes_done += size_bytes
            self._downloaded += size_bytes

    def dropped(self, size_bytes: int) -> None:
        """Takes back the bytes of a file that was fetched and thrown away, because it was not the locked one."""
        with self._lock:
            self._bytes_done -= size_bytes

    def finished_file(self) -> None:
        with self._lock:
            self._files_done += 1

    def progress(self) -> Progress:
        with self._lock:
            return Progress(self._files_done, self._files_total, self._bytes_done, self._bytes_total, self._downloaded)


def _fetch_all(fetcher: "_Fetcher", on_progress: Callable[[Progress], None]) -> None:
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="jar") as pool:
        pending = {pool.submit(fetcher.fetch, jar) for jar in fetcher.tally.missing}
        try:
            _await(pending, lambda: on_progress(fetcher.tally.progress()))
        finally:
            # On a failure or an interrupt the threads end at their next chunk, and what has not begun never begins.
            fetcher.abandoned.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _await(pending: set[Future[None]], report: Callable[[], None]) -> None:
    while pending:
        done, pending = wait(pending, _REPORT_INTERVAL_S, FIRST_EXCEPTION)
        for future in done:
            future.result()
        report()


class _AbandonedError(Exception):
    """Another jar failed or the user interrupted; nobody waits for this one."""


class _BrokenError(Exception):
    """What arrived whole is not the locked file."""


_REMEDY = (
    "Check the network and the proxy settings, or name a mirror of Maven Central: PENSTOCK_DOWNLOADS_MAVEN_REPOSITORY. "
    "What was fetched stays in {folder}, and the next start goes on from there."
)


@dataclass(frozen=True)
class _Fetcher:
    client: httpx.Client
    folder: Path
    address: str
    tally: _Tally
    abandoned: Event = field(default_factory=Event)

    def fetch(self, jar: Jar) -> None:
        """Asks for it a few times where that can help."""
        url = httpx.URL(f"{self.address}/{jar.remote_path}")
        try:
            self._retrying()(self._fetch_from, url, jar)
        except (httpx.HTTPError, OSError, _BrokenError) as error:
            # A mirror's address may carry a password.
            attempt = f"{shown(str(url))}: {_cause(error)}"
            remedy = untrusted(error) or _REMEDY.format(folder=self.folder)
            raise DownloadError(str(jar), [attempt], remedy) from error

    def _retrying(self) -> Retrying:
        return Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=5),
            retry=retry_if_exception(_may_pass),
            sleep=sleep_using_event(self.abandoned),
            reraise=True,
        )

    def _fetch_from(self, url: httpx.URL, jar: Jar) -> None:
        target = jar.path(self.folder)
        target.parent.mkdir(exist_ok=True)
        partial = target.with_suffix(".part")
        arrived = 0
        try:
            self._still_wanted(jar, arrived)
            with self.client.stream("GET", url) as response, partial.open("wb") as file:
                response.raise_for_status()
                digest = hashlib.sha256()
                for chunk in response.iter_raw():
                    arrived += len(chunk)
                    self.tally.arrived(len(chunk))
                    self._still_wanted(jar, arrived)
                    digest.update(chunk)
                    file.write(chunk)
                _is_locked(jar, digest.hexdigest(), arrived)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except BaseException:
            self.tally.dropped(arrived)
            partial.unlink(missing_ok=True)
            raise
        self.tally.finished_file()

    def _still_wanted(self, jar: Jar, arrived: int) -> None:
        if self.abandoned.is_set():
            raise _AbandonedError
        if arrived > jar.size_bytes:
            raise _BrokenError(f"expected {jar.size_bytes} bytes, got more")


def _is_locked(jar: Jar, sha256: str, size_bytes: int) -> None:
    if sha256 != jar.sha256:
        raise _BrokenError(f"expected sha256 {jar.sha256} ({jar.size_bytes} bytes), got {sha256} ({size_bytes} bytes)")


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError) and not untrusted(error)


def _cause(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return str(error) if isinstance(error, _BrokenError) else f"{type(error).__name__}: {error}"
