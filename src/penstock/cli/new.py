"""`penstock new`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings
from penstock.cli.support.values import PIPELINE_NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(
    epilog=example(
        "penstock new issues --from 'https://api.example.com/issues?since=2026-11-01' --auth bearer:ISSUES_TOKEN",
        "penstock new quakes --from answer.json",
    )
)
@click.argument("name", type=PIPELINE_NAME)
@click.option("--from", "origin", required=True, metavar="URL|FILE", help="The API, or a file with one answer of it.")
@click.option(
    "--auth",
    default="",
    metavar="KIND:NAME[,…]",
    help="Who asks, by the name of a secret: bearer:NAME, api-key:NAME,header=X-API-Key, api-key:NAME,param=key, "
    "basic:NAME,username=ME or oauth2:NAME,client_id=ID,token_url=URL.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@with_settings
def new(settings: "Settings", name: str, origin: str, auth: str, force: bool) -> None:
    """Write a declaration of a pipeline from one answer of its API, with what is not sure as comments."""
    from penstock.config import references
    from penstock.proposal import given, propose
    from penstock.proposal.file import place, write
    from penstock.views.proposal import show

    file = place(settings, name, force=force)
    proposal = propose(settings, name, given(origin, auth), datetime.now(UTC))
    write(file, proposal.text)
    show(proposal, file, is_found=not references(settings))
