"""The section of the console: who may come in, and what it shows and does."""

from pydantic import SecretStr

from penstock.config.credentials import Secret
from penstock.config.sections import Section


class ConsoleSettings(Section):
    """The page about everything."""

    token: Secret = SecretStr("")
    """Lets people and Prometheus in; empty means made once and kept in `home`."""
    read_only: bool = False
    """Whether the page only shows, and replays and dismisses no letters."""
    show_values: bool = True
    """Whether the page shows what is in records and letters; their places, reasons and numbers it always shows."""
    hosts: str = ""
    """Further names, separated by commas, by which browsers call the page: name or name:port, e.g. behind a proxy."""
