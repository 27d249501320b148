"""The commands of a container: become one server of the stack, ask one whether it is ready, run the DAG."""

import sys
from typing import TYPE_CHECKING

import click

from penstock.commands import example, with_settings
from penstock.commands.values import COUNT, NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock serve kafka"))
@click.argument("service", type=NAME)
@with_settings
def serve(settings: "Settings", service: str) -> None:
    """Become one server of the stack, in the foreground: what a container runs. Starts nothing that it needs."""
    from penstock.services import foreground
    from penstock.services.stack import stack

    foreground.serve(settings, stack(settings), service)


@click.command(epilog=example("penstock ready kafka"))
@click.argument("service", type=NAME)
@with_settings
def ready(settings: "Settings", service: str) -> None:
    """Ask a server that runs here whether a client could use it: exit 0, or 1 and why not. For health checks."""
    from penstock.services import foreground
    from penstock.services.spec import NotReady
    from penstock.services.stack import stack

    try:
        foreground.check(stack(settings), service)
    except NotReady as state:
        click.echo(f"penstock: {service} is not ready: {state}", err=True)
        sys.exit(1)


@click.command(epilog=example("penstock run --records 5000"))
@click.option("--records", type=COUNT, help="Records to fetch; the declaration's number by default.")
@with_settings
def run(settings: "Settings", records: int | None) -> None:
    """Let Airflow run the DAG, show the users and whether every record is accounted for; starts no server."""
    from penstock.demo import run as run_pipeline

    run_pipeline(settings, records)
