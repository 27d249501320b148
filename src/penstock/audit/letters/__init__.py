"""Dead letters for people: found, shown, exported, and replayed when what was wrong with them is corrected.

A letter is identified by its origin and its bytes (`record.letter_id`), so whatever wrote it twice, a reader sees it
once. It is resolved when the stream has stored its replay, of which a message among the dead letters tells
(docs/decisions/080), or when somebody dismissed it.
"""

from penstock.audit.letters.dismiss import dismiss
from penstock.audit.letters.export import corrections, export, exported
from penstock.audit.letters.index import Body, Correction, Filter, Letter, LetterIndex
from penstock.audit.letters.replay import Outcome, State, replay

__all__ = [
    "Body",
    "Correction",
    "Filter",
    "Letter",
    "LetterIndex",
    "Outcome",
    "State",
    "corrections",
    "dismiss",
    "export",
    "exported",
    "replay",
]
