"""The console as a program: serves until it is told to stop."""

import socket
from contextlib import ExitStack, closing

import uvicorn
from starlette.applications import Starlette

from penstock.audit.overview import ProjectObserver
from penstock.config import Settings
from penstock.console.app import app
from penstock.console.history import History
from penstock.console.probe import Probes
from penstock.servers.apps import failures


def serve(settings: Settings, token: str) -> None:
    """Serves the console of the project's pipelines until SIGTERM or SIGINT. `settings` have Airflow's credentials."""
    file = settings.home / "data" / "console" / "history.sqlite"
    with ExitStack() as closing_all:
        history = closing_all.enter_context(closing(History(file)))
        observer = closing_all.enter_context(ProjectObserver(settings, failures=lambda: failures(settings)))
        probes = closing_all.enter_context(Probes(settings))
        made = app(settings, observer, history, token, probes)
        Server(made, settings.stack.listen, settings.ports.console).run()


class Server(uvicorn.Server):
    """The HTTP server of one app. When it stops it first ends the streams of events, which have no end of their own."""

    def __init__(self, made: Starlette, host: str, port: int) -> None:
        self._made = made
        config = uvicorn.Config(
            made,
            host=host,
            port=port,
            log_config=None,
            access_log=False,  # an address may hold the token, once
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._made.state.end()
        await super().shutdown(sockets)
