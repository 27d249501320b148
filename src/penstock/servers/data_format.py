"""The format of a home's data: chosen by its first start, and kept until the data are deleted.

Kafka 4 cannot read what Kafka 3.9 with ZooKeeper wrote, nor the other way round, a single server's topics and tokens
are not a cluster's, and a checkpoint speaks of one of them.
"""

from pathlib import Path

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.launcher.state import write_once

_SIGN = "layout"
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
    sign, stack = settings.home / "data" / _SIGN, settings.stack
    wanted = f"stack.kafka = {stack.kafka}, stack.profile = {stack.profile}"
    old = any((sign.parent / name).exists() for name in ("kafka", "cassandra")) and not sign.exists()
    found = write_once(sign, _FIRST if old else wanted)
    if found != wanted:
        raise ServiceError(
            f"the data in {settings.home} are of a stack with {found}; one with {wanted} cannot read them. "
            "Go on with the former, or give this stack another folder (--home), or delete the data: "
            "penstock down --delete-data"
        )
