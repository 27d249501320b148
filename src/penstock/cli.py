"""The command line: results to stdout, progress to stderr, the exit code from the error's class.

Each command imports what it needs when it runs, so that `--help` appears at once.
"""

import json
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from penstock.commands import example, with_settings, with_stack
from penstock.commands.doctor import doctor
from penstock.commands.ending import Commands
from penstock.commands.ending import run as run_to_the_end
from penstock.commands.foreground import ready, run, serve
from penstock.commands.ingest import ingest
from penstock.commands.ledger import rebuild, reconcile
from penstock.commands.letters import dead_letters, trace
from penstock.commands.values import COUNT, LINES, NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="penstock")
@click.option("-v", "--verbose", is_flag=True, help="Log every event to stderr.")
def cli(verbose: bool) -> None:
    """Carries records from an HTTP API into Cassandra through Airflow, Kafka and Spark, and accounts for every one.

    \b
    Start everything and run the pipeline once:   penstock demo
    Whether it could run, and what is wrong:      penstock doctor
    Only the servers:                             penstock up, status, logs, down
    On servers that run already:                  penstock run
    One stage by hand, against any cluster:       penstock ingest, stream, users
    What was rejected, and bringing it home:      penstock dead-letters list, show, export, replay
    Where one record is:                          penstock trace ID or e-mail
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s  %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("py4j").setLevel(logging.WARNING)  # it tells of every call into the JVM
    if not verbose:  # its tracebacks, of what our own errors say in a sentence
        logging.getLogger("cassandra").setLevel(logging.CRITICAL)


@cli.command(epilog=example("penstock demo --records 5000"))
@click.option("--records", type=COUNT, help="Records to fetch; the declaration's number by default.")
@with_stack
@with_settings
def demo(settings: "Settings", records: int | None) -> None:
    """Start the stack, let Airflow run the DAG, show the users and whether every record is accounted for."""
    from penstock.demo import demo as tour

    tour(settings, records)


@cli.command(epilog=example("penstock up", "penstock up --kafka zookeeper --port-offset 100"))
@click.argument("services", nargs=-1, type=NAME)
@with_stack
@with_settings
def up(settings: "Settings", services: tuple[str, ...]) -> None:
    """Start the real servers (all, or the named ones with what they need) and return when they are ready."""
    from penstock.demo import start

    start(settings, services)


@cli.command(epilog=example("penstock down", "penstock down --delete-data"))
@click.option("--delete-data", is_flag=True, help="Also delete everything the stack has stored.")
@with_settings
def down(settings: "Settings", delete_data: bool) -> None:
    """Stop every server; the data stay unless told otherwise."""
    from penstock.screen import ServicesScreen
    from penstock.services import control

    with ServicesScreen("Stopping") as screen:
        control.down(settings, delete_data=delete_data, on_change=screen.update)


@cli.command(epilog=example("penstock status --json"))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@with_settings
def status(settings: "Settings", as_json: bool) -> None:
    """What runs, since when, on which ports, with how much memory, and how to log in to Airflow."""
    from penstock import screen
    from penstock.services import control

    state = control.status(settings)
    if as_json:
        click.echo(state.to_json())
    else:
        screen.show_status(state, settings)


@cli.command(epilog=example("penstock logs cassandra --lines 50 --follow"))
@click.argument("service", type=NAME)
@click.option("-n", "--lines", type=LINES, default=50, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@with_settings
def logs(settings: "Settings", service: str, lines: int, follow: bool) -> None:
    """The end of one server's log."""
    from penstock.services import control

    for line in control.follow(settings, service, lines) if follow else control.tail(settings, service, lines):
        click.echo(line)


@cli.command(epilog=example("penstock simulate &", "curl 'http://127.0.0.1:8090/api/?results=2&seed=x&page=1'"))
@click.option("--faults", type=int, metavar="SEED", help="Spoil answers; the same seed spoils the same requests.")
@with_settings
def simulate(settings: "Settings", faults: int | None) -> None:
    """Serve the users API on this machine: the wire format of randomuser.me 1.4, without the network."""
    from penstock.errors import PortTakenError
    from penstock.simulator import Plan, serve
    from penstock.simulator.faults import no_faults

    plan = no_faults if faults is None else Plan(faults)
    try:
        serve(settings.ports.simulator, host=settings.stack.listen, faults=plan)
    except PortTakenError:
        from penstock.services import conflicts, own

        simulator = own.simulator(settings)
        conflicts.check(settings, [simulator], lambda: [simulator])  # says who has it, and what to do
        raise


@cli.command(epilog=example("penstock --verbose stream --master spark://10.0.0.1:7077"))
@click.option("--master", type=NAME, help="Of Spark, e.g. spark://host:7077, local[2], yarn (PENSTOCK_SPARK_MASTER).")
@with_settings
def stream(settings: "Settings", master: str | None) -> None:
    """Carry records from Kafka into Cassandra with Spark until stopped (Ctrl-C or SIGTERM)."""
    from penstock.commands.spark import ready_for_spark
    from penstock.contract import load_pipeline
    from penstock.stream import run as carry

    if master:
        settings = settings.model_copy(update={"spark": settings.spark.model_copy(update={"master": master})})
    jars = ready_for_spark(settings)
    carry(settings, load_pipeline(settings.pipeline), jars)


@cli.command(epilog=example("penstock users --limit 5", "penstock users --json | jq .email"))
@click.option("--limit", type=COUNT, default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
def users(settings: "Settings", limit: int, as_json: bool) -> None:
    """Show rows of the table."""
    from penstock import screen
    from penstock.contract import load_pipeline
    from penstock.store import Store

    pipeline = load_pipeline(settings.pipeline)
    with Store(settings.cassandra) as store:
        rows = [row.values for row in store.any_rows(pipeline, limit)]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False, default=str))
    else:
        screen.out.print(screen.rows_table(rows, pipeline))


@cli.command(epilog=example("penstock schema --form cql"))
@click.option(
    "--form", type=click.Choice(["json-schema", "cql", "spark", "markdown"]), default="json-schema", show_default=True
)
@with_settings
def schema(settings: "Settings", form: str) -> None:
    """Print what is derived from the declaration: the message's JSON Schema, the table, Spark's schema, the docs."""
    from penstock.contract import load_pipeline

    pipeline = load_pipeline(settings.pipeline)
    forms: dict[str, Callable[[], str]] = {
        "json-schema": lambda: json.dumps(pipeline.json_schema(), indent=2),
        "cql": pipeline.create_table,
        "spark": pipeline.spark_ddl,
        "markdown": pipeline.markdown_table,
    }
    click.echo(forms[form]())


cli.add_command(dead_letters)
cli.add_command(ready)
cli.add_command(doctor)
cli.add_command(ingest)
cli.add_command(rebuild)
cli.add_command(reconcile)
cli.add_command(run)
cli.add_command(serve)
cli.add_command(trace)


def main() -> None:
    """The entry point."""
    sys.exit(run_to_the_end(cli))
