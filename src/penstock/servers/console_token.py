"""The console's token: that of the settings, else made once and kept in a file that only its owner can read."""

import secrets
from pathlib import Path

from penstock.config import LOOPBACK, Settings
from penstock.launcher.state import write, write_once


def token(settings: Settings) -> str:
    """The same for all who ask; goes with the data."""
    given = settings.console.token.get_secret_value()
    return given or write_once(_file(settings), _made())


def renew(settings: Settings) -> bool:
    """Another token, for each console that is started from now on. False where the settings give it."""
    if settings.console.token.get_secret_value():
        return False
    _file(settings).parent.mkdir(parents=True, exist_ok=True)
    write(_file(settings), _made())
    return True


def address(settings: Settings, path: str = "/") -> str:
    """The address of a page, with the token that lets a browser of this machine in."""
    return f"http://{LOOPBACK}:{settings.ports.console}{path}?token={token(settings)}"


def _file(settings: Settings) -> Path:
    return settings.home / "data" / "console" / "token"


def _made() -> str:
    return secrets.token_urlsafe(24)
