"""Hostile answers against every kind of paging: nothing lost, nothing invented, memory bounded, next attempt good."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any

import pytest

from penstock.config import SourceSettings
from penstock.errors import SourceAnswerError, SourceError
from penstock.simulator import Asked, Fault, Reply
from penstock.simulator import faults as spoil
from penstock.source import Page, Source
from penstock.source.api import Api
from tests.apis import KINDS, RUN, Listing, Read, by_page, ids, json_reply, rows, serving

PAGED = [name for name in KINDS if name != "none"]
ALL = list(range(1, 248))
MEBIBYTE = 1024 * 1024


def changed(change: Callable[[dict[str, Any]], object]) -> Fault:
    """The good answer, but for what this makes of its JSON."""

    def spoiled(reply: Reply) -> Reply:
        found = json.loads(b"".join(reply.body))
        change(found)
        return spoil.whole(reply.status, json.dumps(found).encode(), reply.headers)

    return spoiled


PASSING = {
    "429": spoil.failing(429),
    "429 and seconds": spoil.failing(429, Retry_After="1"),
    "429 and a date": spoil.failing(429, Retry_After="Wed, 12 Mar 2025 14:30:02 GMT"),
    "403": spoil.failing(403),
    "500": spoil.failing(500),
    "502": spoil.failing(502),
    "503": spoil.failing(503),
    "504": spoil.failing(504),
    "reset": spoil.reset,
    "body cut": spoil.cut_body,
    "JSON cut": spoil.cut_json,
    "HTML": spoil.page_of_html,
    "dripping": spoil.dripping(20, pause_s=0.001),
    "compressed": spoil.gzipped,
    "empty object": lambda reply: spoil.whole(200, b"{}", reply.headers),
    "null": lambda reply: spoil.whole(200, b"null", reply.headers),
    "no list": changed(lambda found: found.pop("data")),
    "an object for the list": changed(lambda found: found.update(data={"0": found["data"]})),
}
"""What the next request corrects, or what is none the worse for it."""
ENDING = {
    "huge": spoil.huge(64, announced=False),
    "huge and announced": spoil.huge(1024, announced=True),
    "bomb": spoil.bomb(1024),
    "moved": spoil.moved("http://penstock.invalid/"),
    "404": spoil.failing(404),
}
"""What ends an attempt at once."""
LESS = {
    "empty list": changed(lambda found: found["data"].clear()),
    "one fewer": changed(lambda found: found["data"].pop()),
}
"""What looks like a good answer; a stated total shows that something is missing."""
MORE = {"one more": changed(lambda found: found["data"].append(found["data"][0]))}
"""What is harmless: an item comes twice, under one key."""


@contextmanager
def hostile(kind: str, faults: Callable[[int], Fault | None], **source: Any) -> Iterator[Source]:
    """The declaration of the kind over a list of 247 items, whose answers are spoiled so."""
    with serving(Listing(rows(247), KINDS[kind][0]), faults=faults) as url:
        yield Source(url, "data", paging=KINDS[kind][1], **source)


def at_request(kind: str) -> int:
    """One in the middle of the list, if there is one."""
    return 1 if kind == "none" else 2


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("kind", KINDS)
def test_answer_that_is_spoiled_now_and_then_loses_and_repeats_nothing(kind: str, fault: str) -> None:
    with hostile(kind, lambda number: PASSING[fault] if number % 2 else None, total="total") as source:
        assert ids(Read().items(source)) == ALL


@pytest.mark.parametrize("fault", ENDING)
@pytest.mark.parametrize("kind", KINDS)
def test_answer_that_cannot_be_used_ends_a_run_within_the_limit_of_memory(kind: str, fault: str) -> None:
    read = Read(settings={"max_response_bytes": MEBIBYTE})
    with hostile(kind, lambda number: ENDING[fault] if number == at_request(kind) else None) as source:
        tracemalloc.start()
        try:
            with pytest.raises(SourceAnswerError, match=r"max_response_bytes|no redirect is followed|404 Not Found"):
                read.items(source)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert ids(Read().items(source)) == ALL
    assert peak_bytes < 8 * MEBIBYTE


@pytest.mark.parametrize(
    ("kind", "fault"), [(kind, fault) for kind in KINDS for fault in LESS if (kind, fault) != ("offset", "one fewer")]
)
def test_list_that_lacks_items_is_noticed_by_the_total_and_read_whole_by_the_next_attempt(
    kind: str, fault: str
) -> None:
    with hostile(kind, lambda number: LESS[fault] if number == at_request(kind) else None, total="total") as source:
        with pytest.raises(SourceAnswerError, match=r"total of 247 items, and \d+ different ones came"):
            Read().items(source)
        assert ids(Read().items(source)) == ALL


def test_offset_goes_on_after_the_items_that_came() -> None:
    with hostile("offset", lambda number: LESS["one fewer"] if number == 2 else None) as source:
        assert ids(Read().items(source)) == ALL


@pytest.mark.parametrize("total", ["", "total"])
@pytest.mark.parametrize("kind", KINDS)
def test_item_that_comes_twice_hides_none(kind: str, total: str) -> None:
    more = MORE["one more"]
    with hostile(kind, lambda number: more if number == at_request(kind) else None, total=total or None) as source:
        assert sorted(set(ids(Read().items(source)))) == ALL


@pytest.mark.parametrize("kind", PAGED)
def test_silence_is_asked_again(kind: str) -> None:
    with hostile(kind, lambda number: spoil.silent if number == 2 else None) as source:
        read = Read(settings={"read_timeout_s": 0.4})
        assert ids(read.items(source)) == ALL
    assert len(read.waits) == 1


@pytest.mark.parametrize("kind", PAGED)
def test_answer_to_the_request_before_is_an_error(kind: str) -> None:
    """A bad cache: the second request gets the first one's answer."""
    answers: list[Reply] = []

    def cached(listing: Listing, asked: Asked) -> Reply:
        answers.append(KINDS[kind][0](listing, asked))
        return answers[0] if len(answers) == 2 else answers[-1]

    with (
        serving(Listing(rows(247), cached)) as url,
        pytest.raises(SourceAnswerError, match=r"page 2 holds the same \d+ items as page 1"),
    ):
        Read().items(Source(url, "data", paging=KINDS[kind][1]))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", KINDS)
def test_day_of_many_faults_loses_and_invents_nothing(kind: str, seed: int) -> None:
    """Attempts until one succeeds, as a task of Airflow has them; each may have published some items."""
    faults, chance = list({**PASSING, **ENDING, **LESS, **MORE}.values()), Random(f"{kind}/{seed}")
    drawn = [chance.choice(faults) if number % 3 and chance.random() < 0.6 else None for number in range(3_000)]
    published: list[int] = []
    with hostile(kind, drawn.__getitem__, total="total") as source:
        for _ in range(60):
            try:
                with Api(source, SourceSettings(max_response_bytes=MEBIBYTE), clock=Read().clock()) as api:
                    for page in api.pages(RUN):
                        published += ids(page.items)
                break
            except SourceError:
                continue
        else:
            pytest.fail("no attempt succeeded")
    assert sorted(set(published)) == ALL


def test_pages_are_asked_for_one_by_one() -> None:
    listing = Listing(rows(500), by_page)
    with serving(listing) as url, Api(Source(url, "data", paging=Page()), SourceSettings()) as api:
        next(api.pages(RUN))
    assert len(listing.asked) == 1


@pytest.mark.parametrize("kind", PAGED)
def test_list_without_end_costs_no_memory(kind: str) -> None:
    numbers = count(1)

    def endless(asked: Asked) -> Reply:
        number = next(numbers)
        following = f"http://{asked.headers['Host']}/items?p={number}"
        answer = {"data": rows(100, number * 100), "total": 10**9, "next": following, "cursors": {"next": number}}
        return json_reply(answer, Link=f'<{following}>; rel="next"')

    with (
        serving(endless) as url,
        Api(Source(url, "data", paging=KINDS[kind][1], total="total"), SourceSettings()) as api,
    ):
        pages = api.pages(RUN)
        for _ in range(5):
            next(pages)
        tracemalloc.start()
        try:
            for _ in range(40):
                next(pages)
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert grown < 800_000  # 4,000 hashes, no items
