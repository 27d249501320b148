"""`penstock serve`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, without_credentials
from penstock.cli.support.values import NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock serve kafka"))
@click.argument("service", type=NAME)
@without_credentials
@with_settings
def serve(settings: "Settings", service: str) -> None:
    """Become one server of the stack, in the foreground: what a container runs. Starts nothing that it needs."""
    from penstock.launcher import foreground
    from penstock.servers.stack import stack

    foreground.serve(settings, stack(settings), service)
