"""`penstock up`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, with_stack
from penstock.cli.support.values import NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock up", "penstock up --secure", "penstock up --kafka zookeeper --port-offset 100"))
@click.argument("services", nargs=-1, type=NAME)
@with_stack
@with_settings
def up(settings: "Settings", services: tuple[str, ...]) -> None:
    """Start the real servers (all, or the named ones with what they need) and return when they are ready."""
    from penstock.cli.support.start import start

    start(settings, services)
