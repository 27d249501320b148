"""How a command ends: an exit code and a sentence for everything, a traceback on the screen for nothing."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from penstock.cli import cli
from penstock.cli.support.ending import INTERRUPTED, READER_LEFT, UNFORESEEN, Commands, run
from penstock.errors import LedgerError, PenstockError
from penstock.views.console import out

ODD = "Ali Yılmaz, علی, 😀, \ud800"
"""Letters that Latin-1 lacks, one beyond 16 bits, and half of one, which no encoding has."""
ROOT = Path(__file__).parents[2]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@click.group(cls=Commands)
@click.option("--verbose", is_flag=True)
def tiny(verbose: bool) -> None:
    pass


@tiny.command()
def defect() -> None:
    raise TypeError("'float' object cannot be interpreted as an integer")


@tiny.command()
def refused() -> None:
    raise PermissionError(13, "Permission denied", "/root/x")


@tiny.command()
def connection() -> None:
    raise BrokenPipeError(32, "Broken pipe")


@tiny.command()
def unbalanced() -> None:
    raise LedgerError("the counts do not balance")


@tiny.command()
def interrupted() -> None:
    raise KeyboardInterrupt


@tiny.command()
def end_of_file() -> None:
    raise EOFError("a file was cut")


@tiny.command()
def odd() -> None:
    click.echo(json.dumps({"name": ODD}, ensure_ascii=False))
    out.print(ODD)
    click.echo(ODD, err=True)


@tiny.command()
def endless() -> None:
    while True:
        out.print("a row")


Run = Callable[..., Ended]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in this process, with streams of an encoding; temporary files go to `tmp_path`."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def ended(*arguments: str, commands: click.Command = tiny, encoding: str = "utf-8") -> Ended:
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding, "strict") for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)
        code = run(commands, arguments)
        texts = [stream.buffer.getvalue().decode(encoding) for stream in streams.values()]  # type: ignore[attr-defined]
        return Ended(code, *texts)

    return ended


def test_a_defect_is_one_sentence_with_a_place_for_the_traceback(ended: Run, tmp_path: Path) -> None:
    code, said, told = ended("defect")
    [kept] = tmp_path.glob("penstock-*.log")
    assert (code, said) == (UNFORESEEN, "")
    assert told.startswith("penstock: `penstock defect` met an error that it does not foresee: TypeError: 'float' obj")
    assert str(kept) in told
    assert (
        f"Please report it with the traceback, and with these versions: Penstock {version('penstock')}, Python 3."
        in told
    )
    assert (told.count("\n"), "Traceback (most" in told) == (1, False)
    assert "Traceback (most recent call last)" in kept.read_text("utf-8")
    assert kept.stat().st_mode & 0o077 == 0


def test_a_defect_shows_its_traceback_where_every_event_is_shown(ended: Run, tmp_path: Path) -> None:
    code, _, told = ended("--verbose", "defect")
    assert code == UNFORESEEN
    assert "Traceback (most recent call last)" in told
    assert [*tmp_path.glob("penstock-*.log")] == []


def test_a_traceback_that_cannot_be_kept_is_shown(ended: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert "Traceback (most recent call last)" in ended("defect").err


def test_what_the_system_refuses_is_not_called_a_defect(ended: Run) -> None:
    code, _, told = ended("refused")
    assert code == UNFORESEEN
    assert "because the system refused something: PermissionError: [Errno 13] Permission denied: '/root/x'" in told


@pytest.mark.parametrize(("name", "says"), [("connection", "BrokenPipeError"), ("end-of-file", "EOFError: a file was")])
def test_what_click_would_hide_is_told(ended: Run, name: str, says: str) -> None:
    code, _, told = ended(name)
    assert (code, says in told) == (UNFORESEEN, True)


def test_ends_that_are_foreseen_keep_their_codes(ended: Run) -> None:
    assert ended("unbalanced")[::2] == (LedgerError.exit_code, "penstock: the counts do not balance\n")
    assert ended("interrupted").code == INTERRUPTED
    assert ended("no-such-command").code == 2
    assert ended("--help").code == 0


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "koi8-r", "cp1252"])
def test_no_character_makes_an_output_fail_and_json_stays_json(ended: Run, encoding: str) -> None:
    code, said, told = ended("odd", encoding=encoding)
    line, table = said.splitlines()
    assert code == 0
    assert json.loads(line)["name"] == ODD
    assert "Ali Y" in table
    assert r"\ud800" in told


@pytest.fixture
def left_pipe() -> Iterator[int]:
    """The end to write to of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("arguments", [("endless",), ("odd",), ("--help",)])
def test_a_reader_that_left_ends_the_command_without_a_word(
    ended: Run, monkeypatch: pytest.MonkeyPatch, left_pipe: int, arguments: tuple[str, ...]
) -> None:
    told = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with open(os.dup(left_pipe), "w", encoding="utf-8") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        monkeypatch.setattr(sys, "stderr", told)
        assert run(tiny, arguments) == READER_LEFT
        monkeypatch.undo()
    assert told.buffer.getvalue() == b""  # type: ignore[attr-defined]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_results_that_cannot_be_written_are_a_failure(ended: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", told)
        code = run(cli, ["schema"])
        monkeypatch.undo()
    assert (code, b"No space left on device" in told.buffer.getvalue()) == (UNFORESEEN, True)  # type: ignore[attr-defined]


def test_closed_streams_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert run(cli, ["schema"]) == 0
    assert run(tiny, ["odd"]) == 0
    assert run(tiny, ["unbalanced"]) == LedgerError.exit_code


def _kinds(error: type[PenstockError]) -> Iterator[type[PenstockError]]:
    yield error
    for kind in error.__subclasses__():
        yield from _kinds(kind)


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    codes = {kind.exit_code for kind in _kinds(PenstockError)} | {0, UNFORESEEN, INTERRUPTED, READER_LEFT}
    assert [code for code in sorted(codes) if f"\n| {code} | " not in page] == []
