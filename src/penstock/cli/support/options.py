"""The options that several commands share, and the example at the end of each command's help."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.support.values import LOGICAL_DATE, NAME

if TYPE_CHECKING:
    from penstock.config import Settings

_PATIENCE_S = 2.0
"""For a connection on this machine."""


def example(*lines: str) -> str:
    """The end of a command's help: what one would type."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--home` and `--port-offset` and hands it the settings that result."""

    @click.option("--home", type=click.Path(), help="Folder of the stack (PENSTOCK_HOME).")
    @click.option("--port-offset", type=int, help="Moves every port of the local stack (PENSTOCK_PORT_OFFSET).")
    @wraps(command)
    def wrapped(
        home: str | None, port_offset: int | None, stack: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        from penstock.config import read_settings

        given = {"home": home, "port_offset": port_offset, "stack": stack}
        settings = read_settings(overrides={key: value for key, value in given.items() if value is not None})
        with _usable_folders(settings):
            # A command that starts servers starts them with the settings as they are, and is no client yet.
            command(settings=settings if stack is not None else _as_operator(settings), **options)

    return wrapped


def with_pipeline(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--pipeline` and hands it the pipeline that is meant. Stands below `with_settings`."""

    @click.option("--pipeline", "name", metavar="NAME", type=NAME, help="Which one, where the project has several.")
    @wraps(command)
    def wrapped(settings: "Settings", name: str | None, **options: Any) -> None:
        from penstock.pipelines.project import chosen

        command(settings=settings, pipeline=chosen(settings, name), **options)

    return wrapped


def needs_kafka(command: Callable[..., None]) -> Callable[..., None]:
    """Ends a command at once where it would wait for the Kafka of a local stack that does not run.

    One that was started may be on its way up, or back, and a foreign one is anybody's: those are waited for. Stands
    below `with_pipeline`.

    Raises:
        BrokerError: no stack runs, and nobody listens.
    """

    @wraps(command)
    def wrapped(settings: "Settings", **options: Any) -> None:
        from penstock.errors import BrokerError
        from penstock.launcher import control
        from penstock.network.listening import addresses, nobody_at

        where = settings.kafka.bootstrap_servers
        is_local = where == settings.of_local_stack().kafka.bootstrap_servers
        is_down = is_local and not control.status(settings, memory=False).supervisor_pid
        if is_down and (nobody := nobody_at(addresses(where, settings.ports.kafka), _PATIENCE_S)):
            raise BrokerError(
                f"no Kafka takes a connection at {nobody}, and no stack runs in {settings.home}. `penstock up` starts "
                "one; another Kafka is the setting kafka.bootstrap_servers"
            )
        command(settings=settings, **options)

    return wrapped


def with_interval(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--from` and `--to` and hands it both as `ends`, or None."""

    @click.option("--from", "start", type=LOGICAL_DATE, help="Begin of the data interval: ISO 8601, UTC by default.")
    @click.option("--to", "end", type=LOGICAL_DATE, help="Its end, which is no part of it.")
    @wraps(command)
    def wrapped(start: datetime | None, end: datetime | None, **options: Any) -> None:
        if (start is None) != (end is None):
            raise click.UsageError("a data interval has two ends: give both --from and --to.")
        command(ends=(start, end) if start and end else None, **options)

    return wrapped


def _as_operator(settings: "Settings") -> "Settings":
    """With the credentials by which a person's commands are let into a secure stack of this home."""
    from penstock.servers.access import as_principal
    from penstock.servers.principals import Principal

    return as_principal(settings, Principal.OPERATOR)


@contextmanager
def _usable_folders(settings: "Settings") -> Iterator[None]:
    """Has an error of the system about one of our folders name the setting."""
    from penstock.errors import FolderError

    try:
        yield
    except OSError as error:
        refused = Path(str(error.filename or ""))
        for setting, folder in (("home", settings.home), ("cache", settings.cache)):
            if refused.is_absolute() and (refused.is_relative_to(folder) or folder.is_relative_to(refused)):
                raise FolderError(setting, folder, error) from error
        raise


def without_credentials(command: Callable[..., None]) -> Callable[..., None]:
    """Keeps `with_settings` from giving a command the credentials of a secure stack: one that is no client, or that
    declares servers, which have credentials of their own. Stands above it.
    """

    @wraps(command)
    def wrapped(**options: Any) -> None:
        command(stack={}, **options)

    return wrapped


def with_stack(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command that starts servers the options that say which ones, beside those of `with_settings`."""

    @click.option(
        "--kafka",
        type=click.Choice(["kraft", "zookeeper"]),
        help="Kafka 4 by itself, or Kafka 3.9 with a ZooKeeper (PENSTOCK_STACK_KAFKA).",
    )
    @click.option(
        "--profile",
        type=click.Choice(["single", "cluster"]),
        help="One of each server, or three brokers, three Cassandra nodes, two workers (PENSTOCK_STACK_PROFILE).",
    )
    @click.option(
        "--secure",
        is_flag=True,
        default=None,
        help="With TLS, passwords and least rights (PENSTOCK_STACK_SECURE).",
    )
    @wraps(command)
    def wrapped(kafka: str | None, profile: str | None, secure: bool | None, **options: Any) -> None:
        given = {"kafka": kafka, "profile": profile, "secure": secure}
        command(stack={key: value for key, value in given.items() if value is not None}, **options)

    return wrapped
