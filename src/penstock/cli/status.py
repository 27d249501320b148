"""`penstock status`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, without_credentials

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock status --json"))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@without_credentials
@with_settings
def status(settings: "Settings", as_json: bool) -> None:
    """What runs, since when, on which ports, with how much memory, and the credentials for Airflow."""
    from penstock.launcher import control
    from penstock.servers.apps import pipelines
    from penstock.views.services import show_status

    state = control.status(settings)
    runs = any(one.name == "stream" and one.pid for one in state.services)
    found = pipelines(settings) if runs else []
    if as_json:
        told = [{**asdict(one), "since": one.since.isoformat()} for one in found]
        click.echo(json.dumps({**json.loads(state.to_json()), "pipelines": told}, indent=2))
    else:
        show_status(state, settings, found)
