"""`penstock overview`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings
from penstock.cli.support.values import NAME

if TYPE_CHECKING:
    from penstock.config import Settings

_PATIENCE_S = 10.0
"""There is one look only: a server that is busy for a moment shall not be called silent."""


@click.command(epilog=example("penstock overview", "penstock overview --json | jq -r '.pipelines[].sentence'"))
@click.option("--json", "as_json", is_flag=True, help="For scripts: everything that was seen.")
@click.option("--pipeline", "name", metavar="NAME", type=NAME, help="Only this one; all by default.")
@with_settings
def overview(settings: "Settings", as_json: bool, name: str | None) -> None:
    """Where records are at this moment, from the API to the table: one sentence for each pipeline, then its parts.

    Looks at every server, local or not, and changes nothing. A server that does not answer is part of the picture, and
    no failure of the command.
    """
    from penstock.audit.overview import ProjectObserver
    from penstock.errors import ContractError
    from penstock.pipelines.project import chosen
    from penstock.servers.apps import failures
    from penstock.servers.secrets import made, with_credentials
    from penstock.views.overview import show_overview

    known = with_credentials(settings) if made(settings) else settings
    with ProjectObserver(known, patience_s=_PATIENCE_S, failures=lambda: failures(settings)) as observer:
        seen = observer.look()
    if name:
        chosen(settings, name)  # whose error names those that there are
        seen = seen.model_copy(update={"pipelines": tuple(one for one in seen.pipelines if one.name == name)})
    if not seen.pipelines:
        raise ContractError(" ".join(each.problem for each in seen.refused))
    for each in seen.refused:  # the others are seen nevertheless
        click.echo(f"penstock: {each.problem}", err=True)
    if as_json:
        click.echo(seen.to_json())
    else:
        show_overview(seen)
