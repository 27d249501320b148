"""`penstock secrets …`: the passwords of a secure stack."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, without_credentials

if TYPE_CHECKING:
    from penstock.config import Settings


@click.group("secrets", epilog=example("penstock secrets rotate"))
def secrets() -> None:
    """Change the passwords of a secure stack."""


@secrets.command("rotate", epilog=example("penstock secrets rotate"))
@without_credentials
@with_settings
def rotate(settings: "Settings") -> None:
    """Give every client of Kafka and Cassandra a new password while the stack runs, and start those anew that use it.

    No record is lost: what is interrupted goes on from its checkpoint. Killed half-way, call it again.
    """
    from penstock.cli.support.rotation import rotate as renew

    names, restarted = renew(settings)
    click.echo(f"new passwords: {', '.join(names)}; started anew: {', '.join(restarted) or 'none, as none runs'}")
