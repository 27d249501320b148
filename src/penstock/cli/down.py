"""`penstock down`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, without_credentials

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock down", "penstock down --delete-data"))
@click.option("--delete-data", is_flag=True, help="Also delete everything the stack has stored.")
@without_credentials
@with_settings
def down(settings: "Settings", delete_data: bool) -> None:
    """Stop every server; the data stay unless told otherwise."""
    from penstock.launcher import control
    from penstock.views.services import ServicesScreen

    with ServicesScreen("Stopping") as screen:
        control.down(settings, delete_data=delete_data, on_change=screen.update)
