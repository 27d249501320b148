"""`penstock logs`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, without_credentials
from penstock.cli.support.values import LINES, NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock logs cassandra --lines 50 --follow"))
@click.argument("service", type=NAME)
@click.option("-n", "--lines", type=LINES, default=50, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@without_credentials
@with_settings
def logs(settings: "Settings", service: str, lines: int, follow: bool) -> None:
    """The end of one server's log."""
    from penstock.launcher import control

    for line in control.follow(settings, service, lines) if follow else control.tail(settings, service, lines):
        click.echo(line)
