"""The kinds of values that options and arguments take; each refuses what a command could not use, in plain words."""

import re
from datetime import UTC, datetime
from typing import Any

import click

_MOST = 2**31 - 1
"""The largest number that CQL takes after LIMIT; Python's collections take more."""
_LONGEST_RUN_ID = 250
"""Characters; Airflow takes no longer one."""
_LONGEST_KEY = 65_535
_LONGEST_NOTE = 1_000
_PIPELINE_NAME = "[a-z][a-z0-9_]{0,39}"


class _Text(click.ParamType[str]):
    """Text that every system takes: valid Unicode, not empty and not endless; one line of it where it is a name."""

    name = "text"

    def __init__(self, most: int, *, one_line: bool = True) -> None:
        self._most = most
        self._one_line = one_line

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            self.fail("it is empty", param, ctx)
        if len(text) > self._most:
            self.fail(f"it has {len(text)} characters; at most {self._most} are taken", param, ctx)
        try:
            text.encode()  # Python hands bytes that are not UTF-8 over as lone surrogates
        except UnicodeEncodeError:
            self.fail(f"{text!a} is not UTF-8", param, ctx)
        if self._one_line and not text.isprintable():
            self.fail(f"{text!a} holds characters that cannot be printed", param, ctx)
        return text


class _LogicalDate(click.ParamType[datetime]):
    """A date or a moment in ISO 8601, as an aware one in UTC; UTC is also what is meant where it names no zone."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except ValueError:
            self.fail(f"{value!a} is not ISO 8601, e.g. 2025-03-12T14:30:00Z", param, ctx)
        except OverflowError:
            self.fail(f"{value!a} lies outside of the years 1 to 9999 in UTC", param, ctx)


class _PipelineName(click.ParamType[str]):
    """A name that a pipeline, its table, its topic and its file may all have."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(_PIPELINE_NAME, str(value)):
            self.fail(f"{value!a} is no name of a pipeline: small letters, digits and _, at most 40", param, ctx)
        return str(value)


COUNT = click.IntRange(min=1, max=_MOST)
LINES = click.IntRange(min=0, max=_MOST)
LOGICAL_DATE = _LogicalDate()
NAME = _Text(_LONGEST_RUN_ID)
"""Of a run, a reason, a server; an id or its beginning."""
KEY = _Text(_LONGEST_KEY, one_line=False)
"""Of a record, or another text of it."""
PIPELINE_NAME = _PipelineName()
NOTE = _Text(_LONGEST_NOTE)
