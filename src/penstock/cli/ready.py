"""`penstock ready`."""

import sys
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, without_credentials
from penstock.cli.support.values import NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock ready kafka"))
@click.argument("service", type=NAME)
@without_credentials
@with_settings
def ready(settings: "Settings", service: str) -> None:
    """Ask a server that runs here whether a client could use it: exit 0, or 1 and why not. For health checks."""
    from penstock.launcher import foreground
    from penstock.launcher.service import NotReady
    from penstock.servers.stack import stack

    try:
        foreground.check(stack(settings), service)
    except NotReady as state:
        click.echo(f"penstock: {service} is not ready: {state}", err=True)
        sys.exit(1)
