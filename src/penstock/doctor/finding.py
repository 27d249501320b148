"""What a check finds: how grave it is, what was seen, and what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How grave a finding is; only `FAILED` is a failure."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong: not running yet, not there, or worth to know."""
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's. A failed one has a `fix`."""

    subject: str
    grade: Grade
    what: str
    fix: str = ""


def fine(subject: str, what: str) -> Finding:
    return Finding(subject, Grade.OK, what)


def note(subject: str, what: str, fix: str = "") -> Finding:
    return Finding(subject, Grade.NOTE, what, fix)


def failed(subject: str, what: str, fix: str) -> Finding:
    return Finding(subject, Grade.FAILED, what, fix)
