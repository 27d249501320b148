"""The first items of an API: the questions, the rows, and what is no row."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from penstock.pipelines.contract import Pipeline
from penstock.pipelines.identity import is_deleted, key_of, key_text
from penstock.pipelines.record import Rejected
from penstock.preview import Look, Seen
from penstock.views.console import err, out
from penstock.views.rows import rows_table


def as_object(seen: Seen, pipeline: Pipeline) -> Mapping[str, Any]:
    """One item for JSON: its request, and the row, or the key of the row that it removes, or why it is rejected."""
    came = {"url": seen.url, "index": seen.index}
    if isinstance(seen.judged, Rejected):
        return {**came, "rejected": seen.judged.reason.value, "message": seen.judged.message, "item": seen.item}
    if is_deleted(pipeline, seen.judged):
        return {**came, "removes": key_text(key_of(pipeline, seen.judged)), "item": seen.item}
    return {**came, "row": seen.judged.model_dump()}


def show(look: Look, pipeline: Pipeline) -> None:
    """The questions on stderr, then what the table would hold, then the rejected items with their reasons."""
    seen, method = look.seen, pipeline.source.method
    looked_at = Counter(one.url for one in seen)
    lines = [f"{method} {url}: {looked_at[url]} of {count} items looked at" for url, count in look.asked.items()]
    if look.following:
        lines.append(f"{method} {look.following}: would be the next question")
    for line in [*lines, *(f"doubtful: {doubt}" for doubt in look.doubts)]:
        err.print(line, markup=False, highlight=False, soft_wrap=True)
    if not seen:
        err.print("the API has no items for that interval", markup=False, highlight=False)
    judged = [(one.index, one.judged) for one in seen]
    records = [(index, record) for index, record in judged if not isinstance(record, Rejected)]
    rows = [record.model_dump() for _, record in records if not is_deleted(pipeline, record)]
    if rows:
        out.print(rows_table(rows, pipeline))
    gone = [(index, key_text(key_of(pipeline, record))) for index, record in records if is_deleted(pipeline, record)]
    texts = [f"item {index} removes the row {key}, as it is deleted" for index, key in gone]
    for index, letter in judged:
        if isinstance(letter, Rejected):
            texts.append(f"item {index} would be a dead letter, {letter.reason}: {letter.message}")
    for text in texts:
        out.print(text, markup=False, highlight=False, soft_wrap=True)
