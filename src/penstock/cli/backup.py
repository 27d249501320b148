"""`penstock backup`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock backup stack.tar.gz"))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings
def backup(settings: "Settings", file: Path) -> None:
    """Keep the local stack's data and secrets in one file, while it runs: it stands still for some seconds."""
    from penstock.servers import backup as backups
    from penstock.views.progress import stages_bar

    with stages_bar() as show:
        manifest = backups.backup(settings, file, show)
    stood = f"; the stack stood still for {manifest.suspended_s:.1f} s" if manifest.suspended_s else ""
    click.echo(f"{file}: {len(manifest.members)} files, as of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC{stood}")
    click.echo("It holds the stack's secrets: keep it where only you can read it.", err=True)
