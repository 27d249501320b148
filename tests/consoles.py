"""Consoles over pictures that a test made: the real app on a real port, without the servers behind it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.audit.overview import Overview, PipelinePart
from penstock.config import ConsoleSettings, Ports, Settings
from penstock.console.app import app
from penstock.console.history import History
from penstock.console.server import Server
from penstock.launcher.control import Phase, ServiceState
from penstock.users import USERS
from rig.stacks import free_ports
from tests.pictures import AT

TOKEN = "the-token-of-this-test"
OTHERS = USERS.model_copy(update={"name": "others", "topic": "others", "table": "others"})
SERVICES = (ServiceState(name="kafka", state=Phase.RESTARTING, ports={"outside": 9092}, log=Path("log"), restarts=3),)


class Looks:
    """An observer that sees what a test lets it see."""

    def __init__(self, *parts: PipelinePart) -> None:
        self.parts: Sequence[PipelinePart] = parts

    def look(self) -> Overview:
        return Overview(at=AT, pipelines=tuple(self.parts), services=SERVICES)


@dataclass(frozen=True)
class Console:
    """One that serves."""

    url: str
    looks: Looks
    server: Server

    def stop(self) -> None:
        """Has it end, as a console that dies does."""
        self.server.should_exit = True

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def serving(folder: Path, *parts: PipelinePart, **console: object) -> Iterator[Console]:
    """A console that sees these pipelines, with these settings of its section."""
    [port] = free_ports(1)
    settings = Settings(
        home=folder, ports=Ports(console=port), console=ConsoleSettings.model_validate(console)
    ).resolved()
    looks = Looks(*parts)
    pipelines = [each for each in (USERS, OTHERS) if each.name in {part.name for part in parts}]
    with closing(History(folder / "history.sqlite")) as history:
        made = app(settings, pipelines, looks, history, TOKEN)
        server = Server(made, "127.0.0.1", port)
        thread = threading.Thread(target=server.run, name="console")
        thread.start()
        try:
            yield Console(f"http://127.0.0.1:{port}", looks, server)
        finally:
            server.should_exit = True
            thread.join()
