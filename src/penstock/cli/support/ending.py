"""How a command ends: with an exit code for each kind of error, one paragraph on stderr, and never with a traceback."""

import codecs
import io
import json
import os
import platform
import select
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import click

from penstock.errors import PenstockError
from penstock.extras import not_installed

UNFORESEEN = 70
"""`EX_SOFTWARE` of sysexits.h."""
INTERRUPTED = 130
"""As shells report a process that SIGINT ended."""
READER_LEFT = 141
"""As shells report a process that SIGPIPE ended: whoever read our output, e.g. `head`, wanted no more of it."""
_ESCAPING = "penstock.escape"


class UnforeseenError(Exception):
    """Wraps an exception that a command raised and that is none of our error classes; `cause` is that exception."""

    def __init__(self, cause: Exception, command: str, *, verbose: bool) -> None:
        self.cause = cause
        self.command = command
        self.verbose = verbose
        super().__init__(str(cause))


class Commands(click.Group):
    """A group whose unexpected errors reach `run`.

    Click itself answers two of them: it ends without a word at the end of any pipe, a server's connection included,
    and calls the end of any file an interruption.
    """

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except OSError as error:  # of printing the help
            raise UnforeseenError(error, "penstock", verbose=False) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (PenstockError, click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and (absent := not_installed(error)):
                raise absent from error
            command = f"penstock {ctx.invoked_subcommand or ''}".strip()
            raise UnforeseenError(error, command, verbose=bool(ctx.params.get("verbose"))) from error


def run(commands: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Runs what the arguments (by default the process's) say, and returns the exit code."""
    _never_fail_on_a_character()
    code = _code(commands, arguments)
    try:
        _flush()
    except BrokenPipeError:
        return READER_LEFT
    except OSError as error:
        return _unforeseen(UnforeseenError(error, "penstock", verbose=False))
    return code


def _code(commands: click.Command, arguments: Sequence[str] | None) -> int:
    try:
        returned = commands.main(arguments, prog_name="penstock", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (KeyboardInterrupt, click.Abort):
        _say("penstock: interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort; the traceback of what is not expected is kept
        return _failed(error)
    return returned if isinstance(returned, int) else 0


def _failed(error: Exception) -> int:
    match error:
        case PenstockError():
            _say(f"penstock: {error}")
            return error.exit_code
        case click.ClickException():
            with suppress(OSError):
                error.show()
            return error.exit_code
        case UnforeseenError():
            return _unforeseen(error)
    return _unforeseen(UnforeseenError(error, "penstock", verbose=False))


def _unforeseen(error: UnforeseenError) -> int:
    """Says what failed, where the traceback is, and what to do with it."""
    if isinstance(error.cause, BrokenPipeError) and _reader_left():
        return READER_LEFT
    cause = "".join(traceback.format_exception_only(error.cause)).strip().rstrip(".")
    ours = not isinstance(error.cause, OSError)
    what = "met an error that it does not foresee" if ours else "failed, because the system refused something"
    place = _kept(error.cause, verbose=error.verbose)
    this = f"Penstock {version('penstock')}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    report = f"Please report it with the traceback, and with these versions: {this}"
    advice = report if ours else f"If that is nothing you can correct: {report[0].lower()}{report[1:]}"
    _say(f"penstock: `{error.command}` {what}: {cause}. {place}. {advice}")
    return UNFORESEEN


def _kept(cause: Exception, *, verbose: bool) -> str:
    """Writes the traceback to stderr, or to a new file that only its owner can read; says where it is."""
    text = "".join(traceback.format_exception(cause))
    if not verbose:
        with suppress(OSError):  # a full disk, perhaps
            descriptor, name = tempfile.mkstemp(prefix="penstock-", suffix=".log")
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return f"The traceback is in {name}; `penstock --verbose …` prints it instead"
    _say(text)
    return "The traceback stands above"


def _say(text: str) -> None:
    with suppress(OSError):  # nobody reads stderr, or its disk is full: the exit code still tells
        click.echo(text, err=True)


def _never_fail_on_a_character() -> None:
    """Has stdout and stderr escape what their encoding lacks, in the way of JSON, so that JSON stays JSON."""
    codecs.register_error(_ESCAPING, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPING)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _flush() -> None:
    """Writes what is left, now that an error can still be told; what cannot be written is given up."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except OSError:
            # Python flushes once more when it ends.
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
            raise


def _reader_left() -> bool:
    """Whether nobody reads any more what we write."""
    look = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or no file at all
            look.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in look.poll(0))
