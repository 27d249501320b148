"""The command line. Each command is a file of this package, named after it, and is registered by being there.

Results go to stdout, progress to stderr; the exit code is that of the error's class. A command imports what it needs
when it runs, so that `--help` appears at once. What several commands share is in `cli.support`; what a command does to
the pipeline or the servers is in their packages, and what it shows in `views`.
"""

import logging
import sys
from importlib import import_module
from pkgutil import iter_modules

import click

from penstock.cli.support.ending import Commands
from penstock.cli.support.ending import run as run_to_the_end


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="penstock")
@click.option("-v", "--verbose", is_flag=True, help="Log every event to stderr.")
def cli(verbose: bool) -> None:
    """Carries records from an HTTP API into Cassandra through Airflow, Kafka and Spark, and accounts for every one.

    \b
    Start everything and run the pipeline once:   penstock demo
    Whether it could run, and what is wrong:      penstock doctor
    Only the servers:                             penstock up, status, logs, down
    Their data in one file, and back:             penstock backup, restore
    Where records are now, in one sentence:       penstock overview
    On servers that run already:                  penstock run
    A declaration for your own API:               penstock new NAME --from URL
    Whether it is sound, and its first rows:      penstock check, preview, schema
    One stage by hand, against any cluster:       penstock ingest, stream, rows
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


def _register() -> None:
    """The command of `dead_letters.py` is `dead_letters` there, and `penstock dead-letters` on the command line."""
    for module in iter_modules(__path__):
        if not module.ispkg:
            cli.add_command(getattr(import_module(f"{__name__}.{module.name}"), module.name))


_register()


def main() -> None:
    """The entry point."""
    sys.exit(run_to_the_end(cli))
