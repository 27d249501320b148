"""Every option of every command with values that nobody should give: an answer in words, never a traceback."""

import io
import os
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from penstock.cli import cli
from penstock.cli.support.ending import READER_LEFT, UNFORESEEN, run
from penstock.config import Settings, read_settings
from penstock.errors import ConfigError, ContractError
from penstock.pipelines.project import load_pipeline
from rig.stacks import free_ports
from tests import servers

NUMBERS = ["0", "1", "-1", "20.0", "1e3", "2147483647", "2147483648", "9" * 30, "9" * 5_000, "NaN", "0x10", "१२"]
MOMENTS = [
    "2025-03-12",
    "2025-03-12T14:30:00",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+12:00",
    "0000-00-00",
    "now",
    "20250312T143000Z",
]
PATHS = ["/", "/dev/null", "/dev/null/x", ".", "..", "~nobody-of-that-name/x", "/proc/1/x", "a" * 300]
TEXTS = ["", " ", "-", "--", "*", "a\nb", "\x1b[31m", "علی 😀", "\udcff", "x" * 70_000, "';--", "%s{0}", "rtl\u202e"]
# What a command line can hold: no NUL, and of the surrogates those that stand for bytes that are no text (PEP 383).
_CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=("Cs",)) | st.characters(
    min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=("Cs",)
)
ODD = [*NUMBERS, *MOMENTS, *PATHS, *TEXTS]


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from walk(part, (*path, name))
    else:
        yield path, command


COMMANDS = dict(walk(cli))
EVERY = pytest.mark.parametrize("path", list(COMMANDS), ids=" ".join)


class Refuses(BaseHTTPRequestHandler):
    """An Airflow, or an API, that lets nobody in."""

    def do_GET(self) -> None:
        self.send_response_only(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def nothing_starts() -> Iterator[None]:
    """An environment in which no command finds a server, and none can start one."""
    nobody, before = free_ports(1)[0], dict(os.environ)
    server = HTTPServer(("127.0.0.1", 0), Refuses)
    with TemporaryDirectory() as folder, servers.answering(server):
        place = Path(folder)
        (place / "file").touch()
        os.environ |= {
            "PENSTOCK_HOME": str(place / "home"),
            "PENSTOCK_CACHE": str(place / "file"),
            "PENSTOCK_JAVA_HOME": str(place),
            "PENSTOCK_STACK_LISTEN": "192.0.2.1",  # RFC 5737: nobody's
            "PENSTOCK_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{nobody}",
            "PENSTOCK_KAFKA_DELIVERY_TIMEOUT_S": "0.2",
            "PENSTOCK_CASSANDRA_CONTACT_POINTS": "127.0.0.1",
            "PENSTOCK_CASSANDRA_PORT": str(nobody),
            "PENSTOCK_AIRFLOW_URL": f"http://127.0.0.1:{server.server_port}",
            "PENSTOCK_AIRFLOW_USERNAME": "nobody",
            "PENSTOCK_SOURCE_URL_USERS": f"http://127.0.0.1:{server.server_port}",
            "TMPDIR": folder,
        }
        here = Path.cwd()
        os.chdir(place)
        yield
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def options_of(command: click.Command) -> st.SearchStrategy[list[str]]:
    """Some of the command's options, each with an odd value where it takes one, and odd arguments."""
    odd = st.sampled_from(ODD) | st.text(_CHARACTERS, max_size=20)
    parts = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            most = parameter.nargs if parameter.nargs > 0 else 3
            parts.append(st.lists(odd, min_size=int(parameter.required), max_size=most))
        elif parameter.is_flag:  # type: ignore[attr-defined]
            parts.append(st.sampled_from([[], [parameter.opts[0]]]))
        else:
            parts.append(st.just([]) | odd.map(lambda value, name=parameter.opts[0]: [name, value]))
    return st.tuples(*parts).map(lambda found: [word for words in found for word in words])


def ended(arguments: list[str], encoding: str) -> tuple[int, str]:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams
    try:
        code = run(cli, arguments)
    finally:
        sys.stdout, sys.stderr = before
    return code, "".join(stream.buffer.getvalue().decode(encoding) for stream in streams)  # type: ignore[attr-defined]


@EVERY
@tried(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), encoding=st.sampled_from(["utf-8", "iso-8859-1"]))
def test_odd_values_end_in_words(path: tuple[str, ...], data: st.DataObject, encoding: str) -> None:
    arguments = [*path, *data.draw(options_of(COMMANDS[path]))]
    code, told = ended(arguments, encoding)
    assert code not in {UNFORESEEN, READER_LEFT}, told
    assert "Traceback" not in told


def test_every_odd_value_of_every_setting_is_taken_or_refused_in_words() -> None:
    """All settings at once, whose refusals are all told; and a few hundred times one alone, which may be taken."""
    alone = list(product(Settings().environment(), ODD))
    for value in ODD:
        with suppress(ConfigError):
            read_settings(dict.fromkeys(Settings().environment(), value))
    for variable, value in random.sample(alone, 300):
        with suppress(ConfigError):
            read_settings({variable: value})


@pytest.mark.parametrize("value", [value for value in ODD if ":" not in value] + [":", ".:x", "a:b:c", "penstock:cli"])
def test_every_odd_name_of_a_pipeline_is_refused_in_words(value: str) -> None:
    with pytest.raises(ContractError, match=r"not a penstock\.Pipeline|no pipeline at"):
        load_pipeline(value)


def test_every_odd_value_of_every_option_is_taken_or_refused_in_words() -> None:
    for command in COMMANDS.values():
        for parameter in command.params:
            for value in ODD:
                with suppress(click.ClickException):
                    odd = value if parameter.nargs == 1 else (value,)
                    parameter.process_value(click.Context(command), odd)
