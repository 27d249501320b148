"""`penstock check`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings
from penstock.cli.support.values import NAME

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock check", "penstock check --pipeline orders"))
@click.option("--pipeline", "name", metavar="NAME", type=NAME, help="Only this one; all of the project by default.")
@with_settings
def check(settings: "Settings", name: str | None) -> None:
    """Say whether the project's pipelines are sound, with the line that is not. Asks no API and no server."""
    from penstock.errors import ConfigError, ContractError
    from penstock.pipelines.project import chosen, declarations

    found = declarations(settings) if name is None else []
    sound = [each.pipeline for each in found if each.pipeline] if name is None else [chosen(settings, name)]
    refused = [str(each.error) for each in found if each.error]
    for pipeline in sound:
        try:
            _check(settings, pipeline)
        except ConfigError as error:
            if len(sound) == 1 and not refused:
                raise
            refused.append(f"pipeline {pipeline.name}: {error}")
    if refused:
        raise ContractError("\n".join(refused))


def _check(settings: "Settings", pipeline: "Pipeline") -> None:
    from penstock.preview import check as check_source
    from penstock.source import yesterday

    address = check_source(settings, pipeline, yesterday(datetime.now(UTC)))
    click.echo(
        f"pipeline {pipeline.name} is sound: {len(pipeline.columns)} fields from {address} to topic {pipeline.topic} "
        f"and table {pipeline.keyspace}.{pipeline.table}. See its first rows: penstock preview"
    )
