"""The console's token: that of the settings, else made once and kept in a file that only its owner can read."""

import secrets

from penstock.config import LOOPBACK, Settings
from penstock.launcher.state import write_once


def token(settings: Settings) -> str:
    """The same for all who ask; goes with the data."""
    given = settings.console.token.get_secret_value()
    return given or write_once(settings.home / "data" / "console" / "token", secrets.token_urlsafe(24))


def address(settings: Settings, path: str = "/") -> str:
    """The address of a page, with the token that lets a browser of this machine in."""
    return f"http://{LOOPBACK}:{settings.ports.console}{path}?token={token(settings)}"
