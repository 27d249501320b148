"""A declaration proposed from one answer of an API: what `penstock new` writes.

It decides by what came, says what it was unsure of, and judges its own sample by what it wrote. It publishes nothing,
and what it writes is a person's from then on: nothing here reads it again. What people see is in `views`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from penstock.config import Settings
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Rejected, from_api
from penstock.proposal import keys, paging
from penstock.proposal.asking import Answer, Asking
from penstock.proposal.fields import Field, Fields, fields_of
from penstock.proposal.file import loaded
from penstock.proposal.given import UNKNOWN_ADDRESS, Given, given
from penstock.proposal.items import MOST_ITEMS, Found, find
from penstock.proposal.window import Window, interval_options, window
from penstock.proposal.written import Declaration, text_of
from penstock.source import Source
from penstock.urls import ShownUrl, shown

__all__ = ["Given", "Proposal", "given", "propose"]

_DELETED = ("deleted_at", "deleted", "is_deleted", "removed_at", "removed", "is_removed", "deleted_on", "date_deleted")
_CHANGED = ("updated_at", "modified_at", "last_modified", "updated", "modified", "changed_at", "updated_on")


@dataclass(frozen=True)
class Proposal:
    """A declaration as text, and what became of the sample by it."""

    text: str
    pipeline: Pipeline
    constant: str
    """Its name in the file."""
    asked: Sequence[ShownUrl]
    """The questions, in their order; none where a file was given."""
    sampled: int
    rejected: int
    reason: str
    """Why most of the rejected ones are."""
    interval: str
    """Options by which a command asks for the same interval again."""

    @property
    def doubts(self) -> int:
        return self.text.count("# unsure:")


def propose(settings: Settings, name: str, origin: Given, now: datetime) -> Proposal:
    """A declaration of the pipeline `name`; asks the API a handful of times at most.

    Raises:
        SourceError: the API gave no usable answer, or one of which no rows can be made.
        ConfigError: it cannot be asked so.
    """
    what = str(origin.file) if origin.file else shown(origin.url)
    with Asking(settings, origin, now) as asking:
        answer = asking.first()
        found = find(answer.document, what)
        paged = paging.propose(asking, origin, answer, found)
    asks = window(paged.params)
    fields, sample = fields_of(found.sample), found.sample
    keyed = keys.choose(fields.fields, sample, what)
    declared = _declaration(name, fields, keyed, _source(origin, answer, found, paged, asks), now)
    about = [*found.doubts, *paged.doubts, *asks.doubts, *_about_address(origin)]
    about += [] if asks.start or asks.end else _about_window(fields.fields)
    declared = replace(declared, about_source=about)
    text = text_of(declared)
    pipeline = loaded(text, declared.constant)
    items = found.items[:MOST_ITEMS]
    rejected, reason = _judged(pipeline, items)
    interval = interval_options(asks, now)
    return Proposal(text, pipeline, declared.constant, asking.asked, len(items), rejected, reason, interval)


def _source(origin: Given, answer: Answer, found: Found, paged: paging.Paged, asks: Window) -> Source:
    return Source(
        origin.url,
        found.place,
        params=asks.params,
        auth=origin.auth,
        paging=paged.paging,
        total=paged.total,
        ndjson=answer.ndjson,
    )


def _declaration(name: str, fields: Fields, keyed: keys.Keyed, source: Source, now: datetime) -> Declaration:
    of_record = [
        replace(field, optional=field.optional and field.name not in keyed.required) for field in fields.fields
    ]
    deleted, about_deleted = _deleted(of_record, keyed.required)
    return Declaration(
        name,
        of_record,
        source,
        keyed.key,
        deleted,
        now,
        about_record=fields.doubts,
        about_key=keyed.doubts,
        about_pipeline=about_deleted,
    )


def _deleted(fields: Sequence[Field], keys_of_it: frozenset[str]) -> tuple[str, list[str]]:
    """The field by which an item says that it is deleted, if one has the name of such a field."""
    for field in fields:
        if field.name not in _DELETED or field.name in keys_of_it:
            continue
        if field.kind.is_flag or (field.optional and field.kind.is_time):
            doubt = f"an item with {field.name} removes its row; fields that such an item lacks must be optional"
            return field.name, [doubt]
        return "", [f"does {field.name} say that an item is deleted? deleted= takes a field that is absent, or a bool"]
    return "", []


def _about_address(origin: Given) -> list[str]:
    return ["where is the API? The sample was a file"] if origin.url == UNKNOWN_ADDRESS else []


def _about_window(fields: Sequence[Field]) -> list[str]:
    changed = next((field.name for field in fields if field.name in _CHANGED), "")
    if not changed:
        return []
    return [
        f"every run asks for everything. Items have {changed}: does the API take a parameter for it, e.g. "
        'params={"since": "{start}"}?'
    ]


def _judged(pipeline: Pipeline, items: Sequence[Any]) -> tuple[int, str]:
    """How many of the items would be dead letters, and the commonest reason."""
    judged = (from_api(pipeline, item) for item in items)
    reasons = Counter(f"{one.reason}: {one.message}" for one in judged if isinstance(one, Rejected))
    return reasons.total(), reasons.most_common(1)[0][0] if reasons else ""
