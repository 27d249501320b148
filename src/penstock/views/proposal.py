"""A proposed declaration: what was asked for it, what it says, what to do next."""

from pathlib import Path

import click

from penstock.proposal import Proposal


def show(proposal: Proposal, file: Path) -> None:
    """The questions on stderr; what was written, and the next commands."""
    for number, url in enumerate(proposal.asked, start=1):
        click.echo(f"question {number}: GET {url}", err=True)
    pipeline = proposal.pipeline
    rows = proposal.sampled - proposal.rejected
    click.echo(
        f"{file}: {len(pipeline.columns)} fields, key {', '.join(pipeline.keys.names)}, "
        f"{type(pipeline.source.paging).__name__ if pipeline.source.paging else 'no paging'}; "
        f"{rows} of {proposal.sampled} items of the sample are rows"
    )
    if proposal.rejected:
        click.echo(f"  {proposal.rejected} would be dead letters, most of them as {proposal.reason}")
    if proposal.doubts:
        click.echo(f"  unsure of {proposal.doubts} things: comments that begin with `unsure:`")
    click.echo(
        "\nNext, in this folder:\n"
        f"  export PYTHONPATH=$PWD PENSTOCK_PIPELINE={'.'.join(file.with_suffix('').parts)}:{proposal.constant}\n"
        "  penstock check\n"
        f"  penstock preview{proposal.interval}\n"
        "  penstock up"
    )
