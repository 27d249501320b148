"""`penstock secrets …`: the credentials of a secure stack."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, without_credentials

if TYPE_CHECKING:
    from penstock.config import Settings


@click.group("secrets", epilog=example("penstock secrets rotate"))
def secrets() -> None:
    """Change the secrets of a secure stack; in containers, also hand them out and let the clients in."""


@secrets.command("rotate", epilog=example("penstock secrets rotate"))
@without_credentials
@with_settings
def rotate(settings: "Settings") -> None:
    """Give every part of the stack new secrets while it runs, and start those parts anew that use them.

    No record is lost: what is interrupted goes on from its checkpoint. Killed half-way, call it again.
    """
    from penstock.cli.support.rotation import rotate as renew
    from penstock.views.progress import spinner

    with spinner("New secrets") as say:
        done = renew(settings, say)
    click.echo(f"new secrets: {', '.join(done.secrets)}; started anew: {', '.join(done.restarted) or 'none'}")
    if "airflow_password" in done.secrets or "console.token" in done.secrets:
        click.echo("Airflow's new password and the console's new address: penstock status")


@secrets.command("distribute", epilog=example("penstock secrets distribute /shares"))
@click.argument("folder", type=click.Path(path_type=Path))
@without_credentials
@with_settings
def distribute(settings: "Settings", folder: Path) -> None:
    """Make the credentials of a secure stack of containers, and put into FOLDER/NAME what the container NAME needs.

    Done again, it renews certificates that end soon, and keeps everything else.
    """
    from penstock.servers import shares

    fresh = shares.distribute(settings, folder)
    click.echo(f"shares: {', '.join(shares.SHARES)}; new certificates: {', '.join(fresh) or 'none'}")


@secrets.command("admit", epilog=example("penstock secrets admit"))
@without_credentials
@with_settings
def admit(settings: "Settings") -> None:
    """Let the clients into the Kafka and Cassandra that run, as `penstock up --secure` does: topics, tables, rights."""
    from penstock.cli.support import admission
    from penstock.servers.data_format import require_secure

    require_secure(settings)
    admission.admit(settings, admission.STORES)
    click.echo("every client is let in, with the rights of the pipelines that there are")
