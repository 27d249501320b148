"""The data interval in the parameters of an address: a `since=2026-11-01` becomes `since={start}` of a run."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.proposal.given import Params

_START = re.compile(
    r"(since|from|start|after|begin|min|gte|gt)(date|time|datetime|at|ts|day)?|"
    r".*(since|after|from|start|begin|min|gte)|(start|from|min|since|after|begin).*(date|time|day)|.*(starttime|startdate)"
)
_END = re.compile(
    r"(until|to|end|before|max|lte|lt|till)(date|time|datetime|at|ts|day)?|"
    r".*(until|before|to|end|max|lte)|(end|to|max|until|before).*(date|time|day)|.*(endtime|enddate)"
)
_FORMATS = {
    "%Y-%m-%d": ":%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%SZ": "",
    "%Y-%m-%dT%H:%M:%S": ":%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S": ":%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M": ":%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%MZ": ":%Y-%m-%dT%H:%MZ",
    "%Y-%m-%dT%H:%M:%S+00:00": "",
    "%Y-%m-%dT%H:%M:%S.000Z": ":%Y-%m-%dT%H:%M:%S.000Z",
    "%d.%m.%Y": ":%d.%m.%Y",
    "%Y/%m/%d": ":%Y/%m/%d",
}
"""How a moment is written in an address -> the format of a mark that writes it so."""


@dataclass(frozen=True)
class Window:
    """The parameters with marks in place of moments, and the interval that stood there; None where none did."""

    params: Params
    start: datetime | None = None
    end: datetime | None = None
    doubts: tuple[str, ...] = ()


def window(params: Params) -> Window:
    """The parameters of an address with its data interval, if there is one."""
    start, end = _found(params, _START), _found(params, _END)
    if start and end and end[0] == start[0]:
        end = None
    marked = dict(params)
    for found, mark in ((start, "start"), (end, "end")):
        if found:
            marked[found[0]] = f"{{{mark}{found[2]}}}"
    return Window(marked, start and start[1], end and end[1], _doubts(start, end))


def _doubts(start: "_Found | None", end: "_Found | None") -> tuple[str, ...]:
    if start and not end:
        return (f"each run asks for all since its {start[0]}: does the API also know an end?",)
    if end and not start:
        return (f"each run asks for all until its {end[0]}: does the API also know a beginning?",)
    if end and end[2] in (":%Y-%m-%d", ":%d.%m.%Y", ":%Y/%m/%d"):
        return (f"is the day of {end[0]} itself part of the answer? Then runs of a day bring the next one too",)
    return ()


_Found = tuple[str, datetime, str]
"""A parameter, its moment, and the format of its mark."""


def _found(params: Params, names: re.Pattern[str]) -> _Found | None:
    for name, value in params.items():
        if isinstance(value, str) and names.fullmatch(re.sub("[^a-z]", "", name.lower())):
            read = _read(value)
            if read:
                return name, *read
    return None


def _read(value: str) -> tuple[datetime, str] | None:
    for form, mark in _FORMATS.items():
        try:
            return datetime.strptime(value, form).replace(tzinfo=UTC), mark
        except ValueError:
            continue
    for digits, unit, mark in ((10, 1, ":epoch"), (13, 1_000, ":epoch_ms")):
        if re.fullmatch(f"1[0-9]{{{digits - 1}}}", value, re.ASCII):
            return datetime.fromtimestamp(int(value) / unit, UTC), mark
    return None


def interval_options(found: Window, now: datetime) -> str:
    """Options of a command that asks again for the interval that stood in the address; empty where there was none."""
    if found.start is None and found.end is None:
        return ""
    start, end = found.start or found.end, found.end or now
    written: Callable[[datetime | None], str] = lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else ""  # noqa: E731
    return f" --from {written(start)} --to {written(end)}"
