"""`penstock status`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock status --json"))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@with_settings
def status(settings: "Settings", as_json: bool) -> None:
    """What runs, since when, on which ports, with how much memory, and the credentials for Airflow."""
    from penstock.launcher import control
    from penstock.views.services import show_status

    state = control.status(settings)
    if as_json:
        click.echo(state.to_json())
    else:
        show_status(state, settings)
