"""`penstock reconcile` and `penstock rebuild`: does everything balance, and making the table again."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from penstock.commands import example, with_settings
from penstock.commands.values import NAME

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock reconcile", "penstock reconcile --deep", "penstock reconcile --json | jq ."))
@click.option("--run", "run_id", type=NAME, help="Only this run; all by default, the newest first.")
@click.option(
    "--deep", is_flag=True, help="Prove it from the data: compare every message with its row, value by value."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
def reconcile(settings: "Settings", run_id: str | None, deep: bool, as_json: bool) -> None:
    """Per run: fetched = acknowledged = stored + dead-lettered + in flight. Exit code 7 when it cannot balance."""
    from penstock import ledger, screen
    from penstock.contract import load_pipeline
    from penstock.errors import LedgerError

    pipeline = load_pipeline(settings.pipeline)
    if deep:
        with screen.message_bar(f"{pipeline.topic}: comparing") as advance:
            balances = ledger.reconcile_deeply(settings, pipeline, run_id, advance)
    else:
        balances = ledger.reconcile(settings, pipeline, run_id)
    if as_json:
        for balance in balances:
            words = {"problem": balance.problem, "warning": balance.warning}
            numbers = {"fetched": balance.fetched, "distinct": balance.distinct, "expired": balance.expired}
            account = {**asdict(balance.account), **numbers}
            click.echo(json.dumps({**account, "balances": not balance.problem, **words}))
    else:
        screen.show_balances(balances)
    for balance in balances:
        if balance.warning:
            click.echo(f"run {balance.account.run or 'without a name'}: {balance.warning}", err=True)
    for each in ledger.properties_of_the_table(settings, pipeline) if deep else ():
        click.echo(f"table {pipeline.keyspace}.{pipeline.table}: {each}", err=True)
    problems = [
        f"run {balance.account.run or 'without a name'}: {balance.problem}" for balance in balances if balance.problem
    ]
    if problems:
        raise LedgerError(f"{len(problems)} of {len(balances)} runs do not balance. {'; '.join(problems)}")


@click.command(epilog=example("penstock rebuild --from-beginning"))
@click.option("--from-beginning", is_flag=True, help="Read the whole topic; there is no other way yet.")
@with_settings
def rebuild(settings: "Settings", from_beginning: bool) -> None:
    """Write the row of every record in Kafka again, with its own write time: after the table was emptied or lost."""
    from penstock import screen
    from penstock.commands.spark import ready_for_spark
    from penstock.contract import load_pipeline
    from penstock.stream import rebuild as run

    if not from_beginning:
        raise click.UsageError("say --from-beginning: the whole topic is read.")
    pipeline = load_pipeline(settings.pipeline)
    jars = ready_for_spark(settings)
    with screen.message_bar(f"{pipeline.table}: rebuilding") as advance:
        read = run(settings, pipeline, jars, advance)
    click.echo(f"{pipeline.keyspace}.{pipeline.table}: {read} messages read, every record's row written")
