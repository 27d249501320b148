"""Dead letters: a table of many, everything of one."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from penstock.audit.letters import Letter
from penstock.kafka import Received
from penstock.views.console import cut, out, plain

_LONGEST_VALUE = 4_000
"""Bytes of a dead letter's value that are shown."""


def letters_table(letters: Sequence[Letter], count: int) -> Table:
    """Dead letters, one line each. `count` is how many there are, of which these are the newest."""
    left = f"{count - len(letters)} older ones are not shown: --limit, --json" if count > len(letters) else None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=left, caption_justify="left")
    for name in ("id", "reason", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("run, origin, first seen; message", overflow="fold")
    for letter in letters:
        place = ", ".join(text for text in (letter.run, letter.origin, letter.first_seen) if text)
        cell = Text(plain(f"{cut(place)}\n{cut(letter.message)}"))
        table.add_row(letter.short, Text(plain(letter.reason)), _state(letter), cell)
    return table


def show_letter(letter: Letter, message: Received) -> None:
    """Everything of one letter; of a long value its beginning."""
    lines = {
        "id": letter.id,
        "state": f"resolved by {letter.resolved_by}" if letter.resolved_by else "open",
        "rejected again": letter.rejected_again or "",
        "reason": letter.reason,
        "message": letter.message,
        "run": letter.run,
        "origin": letter.origin,
        "first seen": letter.first_seen,
        "letter at": f"{message.origin}, {message.timestamp.isoformat()}",
        **message.headers,
    }
    for name, text in lines.items():
        if text:
            out.print(f"{plain(name):26} {plain(cut(text))}", markup=False, soft_wrap=True)
    out.print(f"\n{_bytes_shown(message.value)}", markup=False, soft_wrap=True)


def _bytes_shown(value: bytes | None) -> str:
    if value is None:
        return "no value"
    more = "" if len(value) <= _LONGEST_VALUE else f"\n… {len(value):,} bytes in all; the whole: --json, or export"
    try:
        return f"value, {len(value):,} bytes of UTF-8:\n{plain(value.decode()[:_LONGEST_VALUE])}{more}"
    except UnicodeDecodeError:
        return f"value, {len(value):,} bytes, not UTF-8, in hex:\n{value[:_LONGEST_VALUE].hex(' ')}{more}"


def _state(letter: Letter) -> Text:
    if letter.resolved_by:
        return Text("resolved", style="green")
    return Text("bad again" if letter.rejected_again else "open", style="yellow")
