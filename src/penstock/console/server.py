"""The console as a program: serves until it is told to stop."""

import logging
from contextlib import closing
from typing import Any

import uvicorn

from penstock.audit.overview import Observer
from penstock.config import Settings
from penstock.console.app import app
from penstock.console.history import History
from penstock.pipelines.contract import Pipeline

log = logging.getLogger(__name__)


def serve(settings: Settings, pipelines: list[Pipeline], token: str) -> None:
    """Until SIGTERM or SIGINT. `settings` have Airflow's credentials."""
    folder = settings.home / "data" / "console"
    with closing(History(folder / "history.sqlite")) as history, Observer(settings, pipelines) as observer:
        options: dict[str, Any] = {
            "host": settings.stack.listen,
            "port": settings.ports.console,
            "log_config": None,
            "access_log": False,  # addresses may hold the token once
            "server_header": False,
            "timeout_graceful_shutdown": 1,  # streams of events have no end of their own
        }
        uvicorn.run(app(settings, pipelines, observer, history, token), **options)
