"""`penstock reconcile`."""

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_pipeline, with_settings
from penstock.cli.support.values import NAME

if TYPE_CHECKING:
    from penstock.audit.ledger import Prove
    from penstock.config import Settings
    from penstock.pipelines.contract import Pipeline


@click.command(epilog=example("penstock reconcile", "penstock reconcile --deep", "penstock reconcile --json | jq ."))
@click.option("--run", "run_id", type=NAME, help="Only this run; all by default, the newest first.")
@click.option(
    "--deep", is_flag=True, help="Prove it from the data: compare every message with its row, value by value."
)
@click.option("--on-spark", is_flag=True, help="With --deep: Spark joins topic and table, where they are too large.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
@with_pipeline
def reconcile(
    settings: "Settings", pipeline: "Pipeline", run_id: str | None, deep: bool, on_spark: bool, as_json: bool
) -> None:
    """Per run: fetched = acknowledged = stored + dead-lettered + in flight. Exit code 7 when it cannot balance."""
    from penstock.audit import ledger
    from penstock.errors import LedgerError
    from penstock.views.balances import show_balances
    from penstock.views.progress import message_bar

    if on_spark and not deep:
        raise click.UsageError("say --deep too: --on-spark is a way of it, and without it only counts are read.")
    if deep:
        prove = _proving(settings, pipeline) if on_spark else None
        with message_bar(f"{pipeline.topic}: comparing") as advance:
            balances = ledger.reconcile_deeply(settings, pipeline, run_id, advance, prove)
    else:
        balances = ledger.reconcile(settings, pipeline, run_id)
    if as_json:
        for balance in balances:
            words = {"problem": balance.problem, "warning": balance.warning}
            numbers = {"fetched": balance.fetched, "distinct": balance.distinct, "expired": balance.expired}
            account = {**asdict(balance.account), **numbers}
            click.echo(json.dumps({**account, "balances": not balance.problem, **words}))
    else:
        show_balances(balances)
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


def _proving(settings: "Settings", pipeline: "Pipeline") -> "Prove":
    from penstock.cli.support.spark import ready_for_spark
    from penstock.stream import prove

    return partial(prove, settings, pipeline, ready_for_spark(settings))
