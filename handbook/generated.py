"""Blocks of the pages that the code writes: between `<!-- generated: NAME -->` and `<!-- /generated -->`."""

import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from examples.earthquakes.earthquakes import EARTHQUAKES
from examples.issues.issues import ISSUES
from handbook import ROOT
from handbook.pages import headings, pages
from penstock import config, errors
from penstock.audit.overview import Overview
from penstock.cli import cli
from penstock.console.metrics import exposed
from penstock.console.sampler import Moment
from penstock.users import USERS

BLOCK = re.compile(r"(?P<begin><!-- generated: (?P<name>[^>]+?) -->\n).*?(?P<end><!-- /generated -->)", re.DOTALL)


def blocks() -> dict[str, Callable[[], str]]:
    """Name -> what makes its text."""
    commands = {f"command {name}": lambda found=found, name=name: _command(name, found) for name, found in _commands()}
    return {
        **commands,
        "settings": config.markdown_table,
        "errors": _errors,
        "metrics": _metrics,
        "decisions": _decisions,
        "users": USERS.markdown_table,
        "earthquakes": EARTHQUAKES.markdown_table,
        "issues": ISSUES.markdown_table,
    }


def filled(text: str) -> str:
    """The page with its blocks as the code has them.

    Raises:
        KeyError: a block that nothing makes.
    """
    known = blocks()
    return BLOCK.sub(lambda found: f"{found['begin']}{known[found['name']]()}\n{found['end']}", text)


def write() -> Iterator[Path]:
    """Rewrites the pages whose blocks are not what the code says; returns these."""
    for page in pages():
        text = page.read_text("utf-8")
        if (now := filled(text)) != text:
            page.write_text(now, "utf-8")
            yield page


def _commands() -> Iterator[tuple[str, click.Command]]:
    """Each with the words by which it is called, those of a group after the group."""
    for name, command in sorted(cli.commands.items()):
        yield name, command
        if isinstance(command, click.Group):
            for part, found in sorted(command.commands.items()):
                yield f"{name} {part}", found


def _command(name: str, command: click.Command) -> str:
    """What `--help` says, as Markdown."""
    context = click.Context(command, info_name=f"penstock {name}")
    about = inspect.cleandoc(command.help or "").replace("\b\n", "")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    records = [found for each in command.get_params(context) if (found := each.get_help_record(context))]
    rows = [
        f"| `{_cell(option)}` | {_cell(text)} |" for option, text in records if text and not option.endswith("--help")
    ]
    options = ["| option | meaning |", "|---|---|", *rows, ""] if rows else []
    example = (command.epilog or "").partition("Example:\n")[2]
    shown = ["```sh", inspect.cleandoc(example), "```"] if example else []
    return "\n".join([about, "", f"`{usage}`", "", *options, *shown]).rstrip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")  # which would end the cell


def _errors() -> str:
    """Each class with its exit code, below the one that it is a kind of."""
    rows = [f"| {'– ' * depth}`{kind.__name__}` | {kind.exit_code} | {_first(kind)} |" for depth, kind in _tree()]
    return "\n".join(["| error | exit code | meaning |", "|---|---|---|", *rows])


def _tree(
    kind: type[errors.PenstockError] = errors.PenstockError, depth: int = 0
) -> Iterator[tuple[int, type[errors.PenstockError]]]:
    yield depth, kind
    for found in kind.__subclasses__():
        if found.__module__ == errors.__name__:
            yield from _tree(found, depth + 1)


def _first(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _metrics() -> str:
    """Each metric of the console, also where nothing runs of which it could tell."""
    nothing = Moment(1, Overview(at=datetime(2026, 1, 1, tzinfo=UTC), pipelines=(), services=()))
    found = re.findall(r"^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)", exposed(nothing).decode(), re.MULTILINE)
    rows = [f"| `{name}` | {kind} | {text} |" for name, text, kind in found]
    return "\n".join(["| metric | type | meaning |", "|---|---|---|", *rows])


def _decisions() -> str:
    """Number and heading of each, with its link."""
    return "\n".join(f"- [{_title(page)}]({page.name})" for page in sorted((ROOT / "docs/decisions").glob("[0-9]*.md")))


def _title(page: Path) -> str:
    """The heading, in which the number is followed by a space, a colon, a dot or a dash."""
    number, _, title = headings(page.read_text("utf-8"))[0].partition(" ")
    return f"{number.rstrip('.:')} {title.removeprefix('— ')}"
