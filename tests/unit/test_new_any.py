"""`penstock new` of any JSON at all: it is refused in plain words, or what is proposed judges its own sample."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config import Settings
from penstock.errors import SourceError
from penstock.proposal import Given, propose

SETTINGS = Settings()
NAMES = st.one_of(
    st.sampled_from(
        ["id", "name", "type", "coordinates", "data", "next", "total", "time", "deleted_at", "page", "x.y"]
    ),
    st.text(max_size=4),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from(
        [2**63, 10**99, 10**101, "2026-11-01", "2026-11-01T00:00:00Z", "Point", "1.50", "::1", "01/02/2026"]
    ),
    st.text(max_size=6),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
ITEMS = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), max_size=4)
DOCUMENTS = st.one_of(ITEMS, VALUES, st.dictionaries(NAMES, st.one_of(ITEMS, VALUES), max_size=3))


@settings(max_examples=25, deadline=None)
@given(document=DOCUMENTS)
def test_any_answer_is_refused_or_proposed(document: Any, tmp_path_factory: Any) -> None:
    file = Path(tmp_path_factory.getbasetemp(), "any-answer.json")
    file.write_text(json.dumps(document, allow_nan=True).replace("Infinity", "1e999"), "utf-8")
    try:
        proposal = propose(
            SETTINGS, "things", Given("https://api.example.com/", file=file), datetime(2026, 11, 27, tzinfo=UTC)
        )
    except SourceError:
        return
    assert proposal.pipeline.columns
    assert 0 <= proposal.rejected <= proposal.sampled
