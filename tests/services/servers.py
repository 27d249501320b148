"""Starts one declared server by itself, without the launcher, and ends it in the way a test asks for."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from penstock.config import Settings
from penstock.launcher.process import spawn
from penstock.launcher.service import NotReady, Service
from penstock.servers import jars
from penstock.servers.java import Java, find_java

Server = subprocess.Popen[bytes]


@contextmanager
def running(declare: Callable[[Settings, Java], Service], settings: Settings) -> Iterator[Server]:
    """A ready server; leaving the block ends it gently if it still runs."""
    jars.fetch(settings, lambda _: None)
    service = declare(settings, find_java(settings))
    service.log.parent.mkdir(parents=True, exist_ok=True)
    service.prepare()
    server = spawn(service, settings.home)
    try:
        _until_ready(service, server)
        yield server
    finally:
        server.send_signal(service.stop_signal)
        server.wait(service.stop_timeout_s)


def kill(server: Server) -> None:
    """kill -9."""
    server.send_signal(signal.SIGKILL)
    server.wait(10)


def _until_ready(service: Service, server: Server) -> None:
    for attempt in Retrying(
        stop=stop_after_delay(service.start_timeout_s),
        wait=wait_fixed(0.05),
        retry=retry_if_exception_type(NotReady),
        reraise=True,
    ):
        with attempt:
            assert server.poll() is None, service.log.read_text("utf-8")[-3000:]
            service.probe()
