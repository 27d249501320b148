"""The kinds of values that settings have, and how each is read: paths, addresses, tables, numbers with bounds."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from penstock.config.credentials import Secret

LAST_PORT = 65_535
LAST_OFFSET = 50_000
PortNumber = Annotated[int, Field(ge=1, le=LAST_PORT)]
Heap = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[mg]$")]
"""A JVM heap as `-Xmx` takes it, e.g. 512m or 2g."""
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NAMES = r"^\s*([A-Za-z_][A-Za-z0-9_]*\s*(,\s*|$))*$"
"""Names of variables, separated by commas."""
ConsistencyLevel = Literal["ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM"]


def _somebodys(value: object) -> object:
    """A path that may begin with ~ or ~name, if there is such a home."""
    if isinstance(value, str):
        try:
            Path(value).expanduser()
        except RuntimeError as error:
            raise ValueError(f"{value!r} is in the home of nobody") from error
    return value


def _named(value: object) -> object:
    # Path("") is the working folder: an empty variable would make that the home, which `down --delete-data` empties.
    if value == "":
        raise ValueError("it names no folder")
    return _somebodys(value)


Folder = Annotated[Path, BeforeValidator(_named)]


def real_folder(path: Path) -> Path:
    """The one spelling of a folder, whatever links lead to it: a second command shall see that it is the same one."""
    return Path(os.path.realpath(path.expanduser()))


def _from_everywhere(value: str) -> str:
    # Links stay: the file behind one may be changed for another, as a renewed certificate is.
    return str(Path(value).expanduser().absolute()) if value else ""


File = Annotated[str, BeforeValidator(_somebodys), AfterValidator(_from_everywhere)]
"""A file or folder of the user's, empty where there is none. Absolute: our servers run in folders of their own."""


def is_url(place: str) -> bool:
    """Whether a `Place` is an address such as `s3a://bucket/folder`, not a folder of this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/", place) is not None


def _one_spelling(value: str) -> str:
    place = unquote(urlsplit(value).path) if value.startswith("file:") else value
    return str(real_folder(Path(place))) if place and not is_url(place) else place


Place = Annotated[str, BeforeValidator(_somebodys), AfterValidator(_one_spelling)]
"""A folder, absolute, or the URL of one that is not on this machine; empty where there is none."""


def _options(value: object) -> object:
    """TOML reads `spark.sql.x = 1` as tables within tables; the environment holds JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
    return dict(_flat(value)) if isinstance(value, Mapping) else value


def _flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value).lower() if isinstance(value, bool) else str(value)


SparkConf = Annotated[dict[str, str], BeforeValidator(_options)]


def _table(value: object) -> object:
    """A table in the file, JSON in the environment."""
    return json.loads(value or "{}") if isinstance(value, str) else value


def _names(value: object) -> object:
    """A list in the file, names with commas between in the environment."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


References = Annotated[tuple[str, ...], BeforeValidator(_names)]
Urls = Annotated[dict[str, str], BeforeValidator(_table)]
NamedSecrets = Annotated[dict[str, Secret], BeforeValidator(_table)]
