"""What people see: the live table of services, progress bars, tables of users. Draws; decides nothing.

Everything here goes to stderr, so that stdout stays for results. Where stderr is no terminal that can be redrawn, one
line per event replaces the moving picture.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from penstock.broker import Received
from penstock.config import LOOPBACK, Settings
from penstock.contract import Pipeline
from penstock.ledger import Balance
from penstock.letters import Letter
from penstock.letters.book import SHORT
from penstock.services.control import Phase, ServiceState, StackState
from penstock.services.secrets import load_secrets
from penstock.services.state import clock_time
from penstock.trace import Sighting, Trace, written

_COLOURS = {
    Phase.READY: "green",
    Phase.STARTING: "yellow",
    Phase.RESTARTING: "yellow",
    Phase.STOPPING: "yellow",
    Phase.NOT_ANSWERING: "red",
    Phase.FAILED: "red",
    Phase.LOST: "red",
}
_SIGNS = {"ok": ("✓", "green"), "note": ("–", "dim"), "failed": ("✗", "red")}
_EFFECT = {"clear": "cleared", "keep": "left as they are"}
_WIDEST = 36
"""Characters of a value that a table of rows shows: a UUID fits."""
_GAP = 2
_LONGEST_VALUE = 4_000
"""Bytes of a dead letter's value that are shown."""
_LONGEST_TEXT = 500
_NUMBERS = ("pid", "memory", "ready in", "restarts")


class _Screen(Console):
    """A console whose reader may leave: what that means is decided where the command ends."""

    def on_broken_pipe(self) -> None:
        """Called while the error is handled."""
        raise  # noqa: PLE0704


err = _Screen(stderr=True, highlight=False)
out = _Screen(highlight=False)


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


def show_finding(grade: str, subject: str, what: str, fix: str) -> None:
    """One line of `penstock doctor`, and what to do below it."""
    sign, colour = _SIGNS[grade]
    out.print(Text.assemble((sign, colour), f" {subject}: ", what), soft_wrap=True)
    if fix:
        out.print(Text(f"  → {fix}", style="bold" if grade == "failed" else "dim"), soft_wrap=True)


def show_status(state: StackState, settings: Settings) -> None:
    """`penstock status`: the services, then why one is not well, then where to look and how to log in."""
    if not state.services:
        out.print(f"Nothing has been started in {state.home}. Start it: penstock up")
        return
    out.print(services_table(state))
    for service in state.services:
        if service.error and service.state is not Phase.READY:
            out.print(f"{service.name}: {service.error}", markup=False)
    if state.supervisor_pid is None:
        out.print("No supervisor watches the services: penstock up starts one, penstock down stops what still runs.")
        return
    total_bytes = (state.supervisor_memory_pss_bytes or 0) + sum(s.memory_pss_bytes or 0 for s in state.services)
    out.print(f"Supervisor: process {state.supervisor_pid}. Memory of all: {total_bytes / 2**30:.2f} GiB")
    show_the_way_on(state, settings)


def show_the_way_on(state: StackState, settings: Settings) -> None:
    """Which pages to open, how to log in, how to stop."""
    for service in state.services:
        if service.page:
            out.print(f"{service.name:20} {service.page}", markup=False)
    if any(service.name.startswith("airflow") for service in state.services):
        secrets = load_secrets(settings)
        password = secrets.airflow_password.get_secret_value()
        out.print(f"{'Airflow log-in':20} {secrets.airflow_username} / {password}", markup=False)
    out.print(f"{'stop':20} {program()} down (the data stay in {settings.home})", markup=False, soft_wrap=True)


def program() -> str:
    """What to type to call this program again from here."""
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
        self._live = Live(self, console=err, refresh_per_second=8) if _can_be_redrawn(err) else None

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
                self._tell(service)

    def _tell(self, service: ServiceState) -> None:
        if self._seen.get(service.name) != service.state:
            self._seen[service.name] = service.state
            if service.state is not Phase.WAITING:
                err.print(f"  {service.name:24}{_standing(service)}{_after(service)}")


@contextmanager
def download_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for downloads: yields `show(bytes_done, bytes_total)`; nothing is drawn when all was there already."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(title, total=None, visible=False)

        def show(bytes_done: int, bytes_total: int) -> None:
            is_news = bytes_done < bytes_total or progress.tasks[task].visible
            progress.update(task, completed=bytes_done, total=bytes_total, visible=is_news)

        yield show


@contextmanager
def record_bar(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar that counts records: yields `show(done)`. Without a total, it counts what nobody knows the end of."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}" + ("" if total is None else " of {task.total:,.0f}")),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def message_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """The same where the total is known late: yields `advance(done, total)`."""
    if not _can_be_redrawn(err):
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def spinner(title: str) -> Iterator[Callable[[str], None]]:
    """Something that takes a while: yields `say(text)`, which tells how far it is."""
    if not _can_be_redrawn(err):
        yield lambda text: err.print(f"  {text}", markup=False)
        return
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err) as progress:
        task = progress.add_task(title, total=None)
        yield lambda text: progress.update(task, description=text)


def rows_table(rows: Sequence[Mapping[str, Any]], pipeline: Pipeline) -> Table:
    """Rows of the table as people read them: one line each, as many columns as the terminal has room for."""
    names = [column.name for column in pipeline.columns]
    texts = [["" if row.get(name) is None else str(row[name]) for name in names] for row in rows]
    widths = [min(_WIDEST, max(map(len, cells))) for cells in zip(names, *texts, strict=True)]
    room = out.width
    fitting = sum(1 for taken in accumulate(width + _GAP for width in widths) if taken <= room)
    left = names[fitting:]
    caption = f"not shown for want of room: {', '.join(left)}" if left else None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for name in names[:fitting]:
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=_WIDEST)
    for cells in texts:
        table.add_row(*map(Text, cells[:fitting]))
    return table


def show_balances(balances: Sequence[Balance]) -> None:
    """Runs and where their items are, two lines each: names of runs are long, and the equation is to be read."""
    for balance in balances:
        account = balance.account
        more = {
            "acknowledged": account.acknowledged,
            "repeated": account.repeated,
            "duplicates": account.duplicates,
            "expired": balance.expired,
        }
        said = ", ".join(f"{name} {number}" for name, number in more.items() if number or name == "acknowledged")
        out.print(Text(plain(account.run or "messages of no run"), style="bold"), _verdict(balance), soft_wrap=True)
        out.print(f"  {balance.equation()}; {said}", markup=False, soft_wrap=True)


def letters_table(letters: Sequence[Letter], count: int) -> Table:
    """Dead letters, one line each. `count` is how many there are, of which these are the newest."""
    left = f"{count - len(letters)} older ones are not shown: --limit, --json" if count > len(letters) else None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=left, caption_justify="left")
    for name in ("id", "reason", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("run, origin, first seen; message", overflow="fold")
    for letter in letters:
        place = ", ".join(text for text in (letter.run, letter.origin, letter.first_seen) if text)
        told = Text(plain(f"{_cut(place)}\n{_cut(letter.message)}"))
        table.add_row(letter.short, Text(plain(letter.reason)), _state(letter), told)
    return table


def show_letter(letter: Letter, message: Received) -> None:
    """Everything of one letter; of a long value its beginning."""
    said = {
        "id": letter.id,
        "state": f"resolved by {letter.resolved_by}" if letter.resolved_by else "open",
        "rejected again": letter.rejected_again or "",
        "reason": letter.reason,
        "message": letter.message,
        "run": letter.run,
        "origin": letter.origin,
        "first seen": letter.first_seen,
        "letter at": f"{message.origin}, {message.timestamp.isoformat()}",
        **message.headers,
    }
    for name, text in said.items():
        if text:
            out.print(f"{plain(name):26} {plain(_cut(text))}", markup=False, soft_wrap=True)
    out.print(f"\n{_bytes_shown(message.value)}", markup=False, soft_wrap=True)


def show_trace(found: Trace, pipeline: Pipeline) -> None:
    """What is known of a record, in the order of its way."""
    if found.older_messages:
        out.print(f"{found.older_messages} older messages are left out", markup=False)
    for message in found.messages:
        _show_message(message, pipeline)
    for row in found.rows:
        out.print(f"row {row.values[pipeline.key]} of {pipeline.keyspace}.{pipeline.table}", markup=False)
        for name, value in row.values.items():
            if value is not None and name != pipeline.key:
                out.print(f"  {name:24} {plain(_cut(str(value)))}", markup=False, soft_wrap=True)
        for at, columns in written(row).items():
            out.print(f"  written {at.isoformat()}     {', '.join(columns)}", markup=False, soft_wrap=True)
    if not found.rows:
        why = ": it is past the table's TTL, and expired if it was ever stored" if found.expired else ""
        out.print(f"no row{why}", markup=False)
    for each in found.properties:
        out.print(f"table {pipeline.keyspace}.{pipeline.table}: {each}", markup=False, soft_wrap=True)
    if found.letters:
        out.print(letters_table(found.letters, len(found.letters)))
    if found.older_letters:
        out.print(f"{found.older_letters} older dead letters are left out", markup=False)
    err.print(f"searched: {found.searched}", markup=False, soft_wrap=True)


def _show_message(message: Sighting, pipeline: Pipeline) -> None:
    fetched = [f"run {message.run}" if message.run else "no run", f"item {message.item}" if message.item else "no item"]
    batch = "unknown" if message.batch is None else str(message.batch)
    lines = [
        f"message {pipeline.topic}/{message.partition}/{message.offset} of {message.sent.isoformat()}",
        f"  {', '.join(fetched)}, micro-batch {batch}",
        f"  {message.problem or f'record {message.key}, write time {message.write_time.isoformat()}'}",
        *([f"  absent, so {_EFFECT[pipeline.absent]}: {', '.join(message.absent)}"] if message.absent else []),
        *([f"  replays dead letter {message.replays[:SHORT]}"] if message.replays else []),
    ]
    for line in lines:
        out.print(plain(_cut(line)), markup=False, soft_wrap=True)


def plain(text: str) -> str:
    """Text that a terminal shows as it is: whatever could steer it is written as an escape, but for line ends."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _bytes_shown(value: bytes | None) -> str:
    if value is None:
        return "no value"
    more = "" if len(value) <= _LONGEST_VALUE else f"\n… {len(value):,} bytes in all; the whole: --json, or export"
    try:
        return f"value, {len(value):,} bytes of UTF-8:\n{plain(value.decode()[:_LONGEST_VALUE])}{more}"
    except UnicodeDecodeError:
        return f"value, {len(value):,} bytes, not UTF-8, in hex:\n{value[:_LONGEST_VALUE].hex(' ')}{more}"


def _can_be_redrawn(console: Console) -> bool:
    """Whether what was drawn can be drawn over: neither in a file nor in a terminal such as an editor's (TERM=dumb)."""
    return console.is_terminal and not console.is_dumb_terminal


def _state(letter: Letter) -> Text:
    if letter.resolved_by:
        return Text("resolved", style="green")
    return Text("bad again" if letter.rejected_again else "open", style="yellow")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _verdict(balance: Balance) -> Text:
    if balance.problem:
        return Text("does not balance", style="red")
    if balance.settled:
        return Text("balances", style="green")
    return Text("in flight" if balance.account.in_flight else "not reported", style="yellow")


def _ports(service: ServiceState) -> str:
    numbers = ", ".join(map(str, service.ports.values()))
    return numbers if service.host == LOOPBACK or not numbers else f"{numbers} on {service.host}"


def _standing(service: ServiceState) -> str:
    return f"{service.state} since {clock_time(service.silent_since)}" if service.silent_since else service.state


def _mebibytes(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 2**20:,.0f} MiB"


def _after(service: ServiceState) -> str:
    return f" after {service.ready_after_s:.1f} s" if service.state is Phase.READY and service.ready_after_s else ""
