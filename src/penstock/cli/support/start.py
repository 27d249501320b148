"""The start of the stack, for commands that need its servers or their jars."""

from collections.abc import Sequence

from penstock.cli.support.admission import admit
from penstock.config import Settings
from penstock.launcher import conflicts, control
from penstock.servers import authority, data_format, jars
from penstock.servers.nodes import brokers, cassandras
from penstock.servers.nodes import names as names_of
from penstock.servers.stack import STACK, stack
from penstock.views.progress import download_bar
from penstock.views.services import ServicesScreen


def fetch_jars(settings: Settings) -> None:
    """Fetches the servers' jars that are missing, with a bar."""
    with download_bar("Downloading the servers") as view:
        jars.fetch(settings, lambda progress: view(progress.bytes_done, progress.bytes_total))


def start(settings: Settings, names: Sequence[str] = ()) -> control.StackState:
    """Fetches what is missing, starts the services and returns when they are ready; draws the way there."""
    data_format.check(settings)
    if settings.stack.secure:
        authority.certify(settings)
    services = stack(settings, names)
    conflicts.check(settings, services, lambda: stack(settings))  # before minutes of downloads
    fetch_jars(settings)
    with ServicesScreen("Starting") as view:
        if settings.stack.secure:
            asking = {*names_of(brokers(settings)), *names_of(cassandras(settings))}
            stores = [service for service in services if service.name in asking]
            control.up(settings, stores, reference=STACK, on_change=view.update)
            admit(settings, [service.name for service in stores])
        return control.up(settings, services, reference=STACK, on_change=view.update)
