"""`penstock rebuild`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_pipeline, with_settings

if TYPE_CHECKING:
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock rebuild --from-beginning"))
@click.option("--from-beginning", is_flag=True, help="Read the whole topic; there is no other way yet.")
@with_settings
@with_pipeline
def rebuild(settings: "Settings", pipeline: "Pipeline", from_beginning: bool) -> None:
    """Write the row of every record in Kafka again, with its own write time: after the table was emptied or lost."""
    from penstock.cli.support.spark import ready_for_spark
    from penstock.stream import rebuild as run
    from penstock.views.progress import message_bar

    if not from_beginning:
        raise click.UsageError("say --from-beginning: the whole topic is read.")
    jars = ready_for_spark(settings)
    with message_bar(f"{pipeline.table}: rebuilding") as advance:
        read = run(settings, pipeline, jars, advance)
    click.echo(f"{pipeline.keyspace}.{pipeline.table}: {read} messages read, every record's row written")
