"""`penstock restore`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(
    epilog=example("penstock restore stack.tar.gz", "penstock restore stack.tar.gz --home copy --port-offset 100")
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_settings
def restore(settings: "Settings", file: Path) -> None:
    """Fill an empty home from a backup; `penstock up` goes on from there."""
    from penstock.servers import backup as backups
    from penstock.views.progress import stages_bar

    with stages_bar() as show:
        manifest = backups.restore(settings, file, show)
    click.echo(f"{settings.home}: {len(manifest.members)} files, as of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC")
    click.echo(f"Now, with {manifest.stack}: penstock up, then penstock reconcile --deep", err=True)
    if unlike := backups.unlike_the_projects(settings):
        click.echo(
            f"This project lacks these declarations or has others: {', '.join(unlike)}. They are in "
            f"{settings.home / backups.DECLARATIONS}; copy them into {Path(settings.project, 'pipelines').absolute()}",
            err=True,
        )
