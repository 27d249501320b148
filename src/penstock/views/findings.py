"""What `penstock doctor` found."""

from rich.text import Text

from penstock.views.console import out

_SIGNS = {"ok": ("✓", "green"), "note": ("–", "dim"), "failed": ("✗", "red")}


def show_finding(grade: str, subject: str, what: str, fix: str) -> None:
    """One line of `penstock doctor`, and what to do below it."""
    sign, colour = _SIGNS[grade]
    out.print(Text.assemble((sign, colour), f" {subject}: ", what), soft_wrap=True)
    if fix:
        out.print(Text(f"  → {fix}", style="bold" if grade == "failed" else "dim"), soft_wrap=True)
