"""The two consoles: results go to `out` (stdout), everything else to `err` (stderr); and text that is safe in them."""

from rich.console import Console


class _Screen(Console):
    """A console whose reader may leave: what that means is decided where the command ends."""

    def on_broken_pipe(self) -> None:
        """Called while the error is handled."""
        raise  # noqa: PLE0704


err = _Screen(stderr=True, highlight=False)
out = _Screen(highlight=False)
_LONGEST_TEXT = 500


def plain(text: str) -> str:
    """Text that a terminal shows as it is: whatever could steer it is written as an escape, but for line ends."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def can_be_redrawn(console: Console) -> bool:
    """Whether what was drawn can be drawn over: neither in a file nor in a terminal such as an editor's (TERM=dumb)."""
    return console.is_terminal and not console.is_dumb_terminal
