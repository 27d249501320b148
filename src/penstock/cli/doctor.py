"""`penstock doctor`."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock doctor", "penstock doctor --json | jq 'select(.grade == \"failed\")'"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@with_settings
def doctor(settings: "Settings", as_json: bool) -> None:
    """Look at this machine, the settings and the servers, and say what is wrong and what to do; starts nothing.

    Exit code 1 when something is wrong. A server of the local stack that does not run is no failure.
    """
    from penstock.doctor import Grade, examine
    from penstock.views.findings import show_finding

    worst = 0
    for finding in examine(settings):
        if as_json:
            click.echo(json.dumps(asdict(finding)))
        else:
            show_finding(finding.grade, finding.subject, finding.what, finding.fix)
        worst |= finding.grade is Grade.FAILED
    sys.exit(worst)
