"""`penstock console`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock console"))
@with_settings
def console(settings: "Settings") -> None:
    """Serve a page that shows the whole flow, live, and leads to every record; also metrics for Prometheus.

    `penstock up` does it too. The address that is printed lets a browser in.
    """
    from penstock.console.server import serve
    from penstock.servers.console_token import address, token
    from penstock.servers.secrets import made, with_credentials

    known = with_credentials(settings) if made(settings) else settings
    click.echo(f"console: {address(settings)}", err=True)
    serve(known, token(settings))
