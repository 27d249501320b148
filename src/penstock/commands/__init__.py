"""What every command has: the settings of a stack, and an example at the end of its help."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click


def example(*lines: str) -> str:
    """The end of a command's help: what one would type."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--home` and `--port-offset` and hands it the settings that result."""

    @click.option("--home", type=click.Path(path_type=Path), help="Folder of the stack (PENSTOCK_HOME).")
    @click.option("--port-offset", type=int, help="Moves every port of the local stack (PENSTOCK_PORT_OFFSET).")
    @wraps(command)
    def wrapped(home: Path | None, port_offset: int | None, **options: Any) -> None:
        from penstock.config import read_settings

        given = {"home": home, "port_offset": port_offset}
        settings = read_settings(overrides={key: value for key, value in given.items() if value is not None})
        command(settings=settings, **options)

    return wrapped
