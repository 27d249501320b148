"""The services of the stack: a table, its live form while they start or stop, and how to go on from there."""

import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from penstock.config import LOOPBACK, Settings
from penstock.launcher.control import Phase, ServiceState, StackState
from penstock.launcher.state import clock_time
from penstock.servers.apps import PipelineState
from penstock.servers.console_token import address
from penstock.servers.secrets import load_secrets
from penstock.views.console import can_be_redrawn, err, out

_COLOURS = {
    Phase.READY: "green",
    Phase.STARTING: "yellow",
    Phase.RESTARTING: "yellow",
    Phase.STOPPING: "yellow",
    Phase.NOT_ANSWERING: "red",
    Phase.FAILED: "red",
    Phase.LOST: "red",
}
_NUMBERS = ("pid", "memory", "ready in", "restarts")


def services_table(state: StackState) -> Table:
    """The services with what a user asks first: is it up, since when, where, and how much memory."""
    measured = any(service.memory_pss_bytes for service in state.services)
    headings = ["service", "state", "pid", "ports", "ready in", "restarts", *(["memory"] if measured else [])]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left", no_wrap=heading != "ports")
    for service in state.services:
        cells: dict[str, str | Text] = {
            "service": service.name,
            "state": Text(_standing(service), style=_COLOURS.get(service.state, "dim")),
            "pid": str(service.pid or ""),
            "ports": _ports(service),
            "ready in": "" if service.ready_after_s is None else f"{service.ready_after_s:.1f} s",
            "restarts": str(service.restarts or ""),
            "memory": _mebibytes(service.memory_pss_bytes),
        }
        table.add_row(*(cells[heading] for heading in headings))
    return table


def show_status(state: StackState, settings: Settings, pipelines: Sequence[PipelineState] = ()) -> None:
    """`penstock status`: the services, then what is not well and why, then where to look, and the credentials."""
    if not state.services:
        out.print(f"Nothing has been started in {state.home}. Start it: penstock up")
        return
    out.print(services_table(state))
    for service in state.services:
        if service.error and service.state is not Phase.READY:
            out.print(f"{service.name}: {service.error}", markup=False)
    for one in pipelines:
        if one.is_well:
            out.print(f"pipeline {one.name}: {one.state}", markup=False)
        else:
            since = clock_time(one.since)
            out.print(f"pipeline {one.name}: {one.state} since {since}: {one.error}", markup=False, style="red")
    if state.supervisor_pid is None:
        out.print("No supervisor watches the services: penstock up starts one, penstock down stops what still runs.")
        return
    total_bytes = (state.supervisor_memory_pss_bytes or 0) + sum(s.memory_pss_bytes or 0 for s in state.services)
    out.print(f"Supervisor: process {state.supervisor_pid}. Memory of all: {total_bytes / 2**30:.2f} GiB")
    show_pages_and_credentials(state, settings)


def show_pages_and_credentials(state: StackState, settings: Settings) -> None:
    """The pages to open, the credentials, and how to stop."""
    for service in state.services:
        if service.page:
            page = address(settings) if service.name == "console" else service.page
            out.print(f"{service.name:20} {page}", markup=False, soft_wrap=True)
    if any(service.name.startswith("airflow") for service in state.services):
        secrets = load_secrets(settings)
        password = secrets.airflow_password.get_secret_value()
        out.print(f"{'Airflow credentials':20} {secrets.airflow_username} / {password}", markup=False)
    stop = f"{program()} down{_which_home(settings)} (the data stay in {settings.home})"
    out.print(f"{'stop':20} {stop}", markup=False, soft_wrap=True)


def _which_home(settings: Settings) -> str:
    """The option without which a command would mean the stack in the default folder."""
    return "" if settings.home == Settings().resolved().home else f" --home {shlex.quote(str(settings.home))}"


def program() -> str:
    """The command by which a person calls this program again from this folder."""
    called = _without_links(sys.argv[0])
    found = shutil.which(called.name)
    if found and _without_links(found) == called:
        return called.name
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)


def _without_links(program: str) -> Path:
    """Where it stands, by the one spelling of its folder; the program itself may be a link with a name of its own."""
    path = Path(program)
    return path.parent.resolve() / path.name


class ServicesScreen:
    """Services coming up or going down: a live table in a terminal, else a line for each change of state."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._state: StackState | None = None
        self._seen: dict[str, Phase] = {}
        self._live = Live(self, console=err, refresh_per_second=8) if can_be_redrawn(err) else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        else:
            err.print(self._title)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __rich__(self) -> Group:
        """What the terminal shows now; the live display asks several times a second."""
        heading = Text(f"{self._title}  {time.monotonic() - self._began:.0f} s", style="bold")
        return Group(heading, services_table(self._state)) if self._state else Group(heading)

    def update(self, state: StackState) -> None:
        """Shows this state from now on."""
        self._state = state
        if self._live is None:
            for service in state.services:
                self._print_change(service)

    def _print_change(self, service: ServiceState) -> None:
        if self._seen.get(service.name) != service.state:
            self._seen[service.name] = service.state
            if service.state is not Phase.WAITING:
                err.print(f"  {service.name:24}{_standing(service)}{_after(service)}")


def _ports(service: ServiceState) -> str:
    numbers = ", ".join(map(str, service.ports.values()))
    return numbers if service.host == LOOPBACK or not numbers else f"{numbers} on {service.host}"


def _standing(service: ServiceState) -> str:
    return f"{service.state} since {clock_time(service.silent_since)}" if service.silent_since else service.state


def _mebibytes(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 2**20:,.0f} MiB"


def _after(service: ServiceState) -> str:
    return f" after {service.ready_after_s:.1f} s" if service.state is Phase.READY and service.ready_after_s else ""
