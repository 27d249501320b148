"""`penstock simulate`."""

from typing import TYPE_CHECKING

import click

from penstock.cli.support.options import example, with_settings, without_credentials

if TYPE_CHECKING:
    from penstock.config import Settings


@click.command(epilog=example("penstock simulate &", "curl 'http://127.0.0.1:8090/api/?results=2&seed=x&page=1'"))
@click.option("--faults", type=int, metavar="SEED", help="Spoil answers; the same seed spoils the same requests.")
@without_credentials
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
        from penstock.launcher import conflicts
        from penstock.servers import apps

        simulator = apps.simulator(settings)
        conflicts.check(settings, [simulator], lambda: [simulator])  # says who has it, and what to do
        raise
