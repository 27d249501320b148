"""The format of a home's data: chosen by its first start, and kept until the data are deleted.

Kafka 4 cannot read what Kafka 3.9 with ZooKeeper wrote, nor the other way round, a single server's topics and tokens
are not a cluster's, and a checkpoint speaks of one of them. The credentials that a secure stack asks for are data too.
"""

from pathlib import Path

from penstock.config import Settings
from penstock.errors import ConfigError, ServiceError
from penstock.launcher.state import write_once

_SIGN = "layout"
_SECURE = ", stack.secure = true"
_FIRST = "stack.kafka = kraft, stack.profile = single"
"""What a home without a sign of its own has: that was all there was."""


def kind_of(home: Path) -> str:
    """The kind of stack whose data a home has, in the words of its settings."""
    sign = home / "data" / _SIGN
    return sign.read_text("utf-8") if sign.exists() else _FIRST


def claim(settings: Settings) -> None:
    """Records this kind of stack as the format of the home's data, if none is recorded; before a server writes any.

    Raises:
        ServiceError: the data are of another kind.
    """
    found = _recorded(settings)
    _compare(settings, write_once(settings.home / "data" / _SIGN, _wanted(settings)) if found is None else found)


def check(settings: Settings) -> None:
    """The same without recording anything, before any server is started."""
    found = _recorded(settings)
    if found is not None:
        _compare(settings, found)


def is_secure(settings: Settings) -> bool:
    """Whether the servers of this home ask who calls, by the settings or by the data that are there."""
    return settings.stack.secure or (_recorded(settings) or "").endswith(_SECURE)


def require_secure(settings: Settings) -> None:
    """Returns where the stack is a secure one.

    Raises:
        ConfigError: it is open.
    """
    if not is_secure(settings):
        raise ConfigError(
            f"the stack in {settings.home} is open: its clients have no passwords. `penstock up --secure` starts a "
            "secure one, in another folder (--home); in Compose it is PENSTOCK_STACK_SECURE=true"
        )


def _compare(settings: Settings, found: str) -> None:
    wanted = _wanted(settings)
    if found == wanted:
        return
    if found.removesuffix(_SECURE) == wanted.removesuffix(_SECURE):
        raise ServiceError(
            f"the data in {settings.home} are of a secure stack, and it is not started open. Start it with --secure, "
            "or PENSTOCK_STACK_SECURE=true; or start anew: penstock down --delete-data"
            if found.endswith(_SECURE)
            else f"the data in {settings.home} are of an open stack: Kafka and Cassandra know none of the clients of a "
            "secure one. Go on without --secure, or give the secure stack another folder (--home), or delete the "
            "data: penstock down --delete-data"
        )
    raise ServiceError(
        f"the data in {settings.home} are of a stack with {found}; one with {wanted} cannot read them. "
        "Go on with the former, or give this stack another folder (--home), or delete the data: "
        "penstock down --delete-data"
    )


def _wanted(settings: Settings) -> str:
    stack = settings.stack
    return f"stack.kafka = {stack.kafka}, stack.profile = {stack.profile}{_SECURE if stack.secure else ''}"


def _recorded(settings: Settings) -> str | None:
    sign = settings.home / "data" / _SIGN
    if sign.exists():
        return sign.read_text("utf-8")
    # An empty folder may be where a disk of its own is mounted.
    old = any(True for name in ("kafka", "cassandra") for _ in sign.parent.glob(f"{name}/*"))
    return _FIRST if old else None
