"""Bars for what takes a while. Where stderr cannot be redrawn, lines replace the moving picture or nothing is drawn."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from penstock.views.console import can_be_redrawn, err


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
    if not can_be_redrawn(err):
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def spinner(title: str) -> Iterator[Callable[[str], None]]:
    """Something that takes a while: yields `say(text)`, which tells how far it is."""
    if not can_be_redrawn(err):
        yield lambda text: err.print(f"  {text}", markup=False)
        return
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err) as progress:
        task = progress.add_task(title, total=None)
        yield lambda text: progress.update(task, description=text)


@contextmanager
def stages_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar of bytes for each part of a piece of work: yields `show(part, bytes_done, bytes_total)`."""
    if not can_be_redrawn(err):
        shown: set[str] = set()

        def say(part: str, _done: int, _total: int) -> None:
            if part not in shown:
                err.print(f"  {part}", markup=False)
            shown.add(part)

        yield say
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as progress:
        tasks: dict[str, TaskID] = {}

        def show(part: str, bytes_done: int, bytes_total: int) -> None:
            if part not in tasks:
                tasks[part] = progress.add_task(part, total=bytes_total)
            progress.update(tasks[part], completed=bytes_done)

        yield show
