"""`penstock schema`."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_pipeline, with_settings

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock schema --form cql"))
@click.option(
    "--form", type=click.Choice(["json-schema", "cql", "spark", "markdown"]), default="json-schema", show_default=True
)
@with_settings
@with_pipeline
def schema(settings: "Settings", pipeline: "Pipeline", form: str) -> None:
    """Print what is derived from the declaration: the message's JSON Schema, the table, Spark's schema, the docs."""

    forms: dict[str, Callable[[], str]] = {
        "json-schema": lambda: json.dumps(pipeline.json_schema(), indent=2),
        "cql": pipeline.create_table,
        "spark": pipeline.spark_ddl,
        "markdown": pipeline.markdown_table,
    }
    click.echo(forms[form]())
