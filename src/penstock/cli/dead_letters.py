"""`penstock dead-letters …`: the records that were rejected."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, needs_kafka, with_pipeline, with_settings
from penstock.cli.support.values import COUNT, NAME, NOTE

if TYPE_CHECKING:
    from penstock.audit.letters import Filter, LetterIndex, Outcome
    from penstock.config import Settings
    from penstock.kafka import Broker
    from penstock.pipelines.contract import Pipeline

_reason = click.option("--reason", type=NAME, help="Only those rejected for this reason, e.g. wrong_type.")
_run = click.option("--run", type=NAME, help="Only those of this run.")
_all = click.option("--all", "resolved", is_flag=True, help="Also those that are resolved.")


@click.group("dead-letters", epilog=example("penstock dead-letters list --reason wrong_type"))
def dead_letters() -> None:
    """List, show, export, replay and dismiss what could not become a row."""


@dead_letters.command("list", epilog=example("penstock dead-letters list --run manual__2025-03-12 --json"))
@_reason
@_run
@_all
@click.option("--limit", type=COUNT, default=50, show_default=True, help="Most letters of the table.")
@click.option("--json", "as_json", is_flag=True, help="All of them, one JSON object a line.")
@with_settings
@with_pipeline
@needs_kafka
def list_letters(
    settings: "Settings",
    pipeline: "Pipeline",
    reason: str | None,
    run: str | None,
    resolved: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Which records were rejected, why and where from; the newest first."""
    from dataclasses import asdict

    from penstock.views.console import out
    from penstock.views.letters import letters_table

    choice = _choice(reason, run, resolved=resolved)
    with _opened(settings, pipeline) as (_, index):
        if as_json:
            for letter in index.letters(choice):
                click.echo(json.dumps(asdict(letter), ensure_ascii=False))
        else:
            letters = list(index.letters(choice, newest=limit))
            out.print(letters_table(letters, index.count(choice)))


@dead_letters.command(epilog=example("penstock dead-letters show 3fa1c09b"))
@click.argument("identity", metavar="ID", type=NAME)
@click.option("--json", "as_json", is_flag=True, help="For scripts, with all bytes.")
@with_settings
@with_pipeline
@needs_kafka
def show(settings: "Settings", pipeline: "Pipeline", identity: str, as_json: bool) -> None:
    """Everything of one letter: its headers, what became of it, its original bytes."""
    from penstock.audit.letters import exported
    from penstock.views.letters import show_letter

    with _opened(settings, pipeline) as (_, index):
        choice = _choice(None, None, (identity,), resolved=True)
        for letter, message, _ in index.bodies(choice):
            if as_json:
                click.echo(json.dumps(exported(letter, message), ensure_ascii=False))
            else:
                show_letter(letter, message)


@dead_letters.command(epilog=example("penstock dead-letters export --reason wrong_type --file letters.jsonl"))
@_reason
@_run
@_all
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A new file.")
@with_settings
@with_pipeline
@needs_kafka
def export(
    settings: "Settings", pipeline: "Pipeline", reason: str | None, run: str | None, resolved: bool, file: Path
) -> None:
    """Write letters to a file, one JSON object a line; edit `value`, then replay the file."""
    from penstock.audit import letters

    with _opened(settings, pipeline) as (_, index):
        count = letters.export(index.bodies(_choice(reason, run, resolved=resolved)), file)
    click.echo(f"{count} dead letters written to {file}")


@dead_letters.command(
    epilog=example("penstock dead-letters replay --file fixed.jsonl --dry-run", "penstock dead-letters replay 3fa1c09b")
)
@click.argument("ids", metavar="[ID]...", nargs=-1, type=NAME)
@click.option("--reason", type=NAME, help="All open letters of this reason, e.g. after the declaration was corrected.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="An export with corrected values.")
@click.option("--dry-run", is_flag=True, help="Only report what would happen.")
@with_settings
@with_pipeline
@needs_kafka
def replay(
    settings: "Settings",
    pipeline: "Pipeline",
    ids: tuple[str, ...],
    reason: str | None,
    file: Path | None,
    dry_run: bool,
) -> None:
    """Publish letters again whose value is a record by now; the stream stores them and marks them as resolved.

    A letter that is still bad stays what it is. Replaying twice is harmless: a letter is resolved once, and the row
    has the write time of the original, so it never replaces newer data.
    """
    from datetime import UTC, datetime

    from penstock.audit import letters
    from penstock.views.console import plain

    if sum(map(bool, (ids, reason, file))) != 1:
        raise click.UsageError("say which letters: either IDs, or --reason, or --file")
    counts: Counter[letters.State] = Counter()

    def report(outcome: "Outcome") -> None:
        counts[outcome.state] += 1
        if outcome.problem:
            click.echo(f"{outcome.letter.short} {outcome.state}: {plain(outcome.problem)}")

    with _opened(settings, pipeline) as (broker, index):
        chosen = (
            index.corrected(letters.corrections(file))
            if file
            else index.bodies(_choice(reason, None, ids, resolved=bool(ids)))
        )
        letters.replay(pipeline, chosen, datetime.now(UTC), None if dry_run else broker, report)
    done = ", ".join(f"{counts[state]} {state}" for state in letters.State)
    click.echo(f"{'would be: ' if dry_run else ''}{done}")


@dead_letters.command(epilog=example("penstock dead-letters dismiss 3fa1c09b --reason-text 'a test of theirs'"))
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=NAME)
@click.option("--reason-text", type=NOTE, help="Why, for whoever looks at the letter later.")
@with_settings
@with_pipeline
@needs_kafka
def dismiss(settings: "Settings", pipeline: "Pipeline", ids: tuple[str, ...], reason_text: str | None) -> None:
    """Close letters that need no replay. They stay where they are, and no row is made of them.

    A later replay, by ID or from a file, takes the decision back.
    """
    from datetime import UTC, datetime

    from penstock.audit import letters

    with _opened(settings, pipeline) as (broker, index):
        chosen = list(index.letters(_choice(None, None, ids, resolved=True)))
        closed = letters.dismiss(pipeline, chosen, reason_text or "", datetime.now(UTC), broker)
    click.echo(f"{len(closed)} dismissed, {len(chosen) - len(closed)} resolved before")


@contextmanager
def _opened(settings: "Settings", pipeline: "Pipeline") -> "Iterator[tuple[Broker, LetterIndex]]":
    """The pipeline's Kafka, and its dead letters as they are now."""
    from penstock.audit.letters import LetterIndex
    from penstock.kafka import Broker
    from penstock.views.progress import record_bar

    with Broker(settings.kafka) as broker, LetterIndex(pipeline, broker) as index:
        with record_bar(f"{pipeline.dead_letter_topic}: reading", index.messages) as show_progress:
            index.read(show_progress)
        yield broker, index


def _choice(reason: str | None, run: str | None, ids: tuple[str, ...] = (), *, resolved: bool) -> "Filter":
    from penstock.audit.letters import Filter
    from penstock.errors import ConfigError
    from penstock.pipelines.record import Reason

    if reason is not None and reason not in list(Reason):
        raise ConfigError(f"--reason is {reason!r}; there are: {', '.join(Reason)}")
    return Filter(reason, run, ids, resolved)
