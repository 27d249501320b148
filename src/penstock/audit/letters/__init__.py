"""Dead letters for people: found, shown, exported, and replayed when what was wrong with them is mended.

A letter is identified by its origin and its bytes (`record.letter_id`), so whatever wrote it twice, a reader sees it
once. It is resolved when the stream has stored its replay and said so in the dead letters (docs/decisions/080), or when
somebody dismissed it.
"""

from penstock.audit.letters.dismiss import dismiss
from penstock.audit.letters.export import export, exported, fixes
from penstock.audit.letters.index import Body, Book, Choice, Fixed, Letter
from penstock.audit.letters.replay import Outcome, State, replay

__all__ = [
    "Body",
    "Book",
    "Choice",
    "Fixed",
    "Letter",
    "Outcome",
    "State",
    "dismiss",
    "export",
    "exported",
    "fixes",
    "replay",
]
