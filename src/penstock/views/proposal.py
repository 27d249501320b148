"""A proposed declaration: what was asked for it, what it says, what to do next."""

from pathlib import Path

from rich.console import Console

from penstock.proposal import Proposal
from penstock.views.console import err, out


def show(proposal: Proposal, file: Path, *, is_found: bool) -> None:
    """The questions on stderr; what was written, and the next commands. The file `is_found` in its folder, or must be
    listed.
    """
    for number, url in enumerate(proposal.asked, start=1):
        _say(f"question {number}: GET {url}", err)
    pipeline = proposal.pipeline
    rows = proposal.sampled - proposal.rejected
    _say(
        f"{file}: {len(pipeline.columns)} fields, key {', '.join(pipeline.keys.names)}, "
        f"{type(pipeline.source.paging).__name__ if pipeline.source.paging else 'no paging'}; "
        f"{rows} of {proposal.sampled} items of the sample are rows"
    )
    if proposal.rejected:
        _say(f"  {proposal.rejected} would be dead letters, most of them as {proposal.reason}")
    if proposal.doubts:
        _say(f"  unsure of {proposal.doubts} things: comments that begin with `unsure:`")
    if not is_found:
        _say(f"  the project lists its pipelines: add pipelines.{file.stem}:{proposal.constant} to the list")
    _say(
        "\nNext, in this folder:\n"
        f"  penstock check --pipeline {pipeline.name}\n"
        f"  penstock preview --pipeline {pipeline.name}{proposal.interval}\n"
        "  penstock up"
    )


def _say(text: str, where: Console = out) -> None:
    where.print(text, markup=False, highlight=False, soft_wrap=True)
