"""Every kind of paging reads a list of unknown length to its end, and no end is green with a row missing."""

import json
import re
from typing import Any

import pytest

from penstock.errors import SourceAnswerError, SourceError
from penstock.simulator import Asked, Reply
from penstock.simulator import faults as spoil
from penstock.source import (
    Ask,
    Body,
    Columns,
    Cursor,
    FirstPage,
    Header,
    Link,
    NextUrl,
    Offset,
    One,
    Page,
    Seen,
    Source,
)
from tests.apis import (
    KINDS,
    Listing,
    Read,
    at_once,
    by_cursor,
    by_page,
    ids,
    json_reply,
    rows,
    serving,
)


def read(kind: str, listing: Listing, **source: Any) -> list[int]:
    """Ids of all items of a listing, read by the declaration of its kind."""
    with serving(listing) as url:
        return ids(Read().items(Source(url, "data", paging=KINDS[kind][1], **source)))


# --- a list is read to its end ---


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 247, 300])
@pytest.mark.parametrize("kind", KINDS)
def test_every_item_comes_once(kind: str, count: int) -> None:
    assert read(kind, Listing(rows(count), KINDS[kind][0])) == list(range(1, count + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_every_item_comes_once_where_the_api_states_the_total(kind: str) -> None:
    assert read(kind, Listing(rows(247), KINDS[kind][0]), total="total") == list(range(1, 248))


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_api_that_gives_fewer_items_than_asked_for_is_read_to_its_end(kind: str) -> None:
    assert read(kind, Listing(rows(247), KINDS[kind][0], most=47)) == list(range(1, 248))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_run_asks_the_same_questions(kind: str) -> None:
    listing = Listing(rows(247), KINDS[kind][0])
    with serving(listing) as url:
        source = Source(url, "data", paging=KINDS[kind][1], params={"day": "{start:%Y-%m-%d}"})
        Read().items(source)
        first = [asked.target for asked in listing.asked]
        listing.asked.clear()
        Read().items(source)
    assert [asked.target for asked in listing.asked] == first


def test_pages_are_counted_as_the_api_says() -> None:
    def paged(asked: Asked) -> Reply:
        number = int(asked.query["page"])
        return json_reply({"data": rows(10, number * 10 + 1), "meta": {"pages": 3}})

    with serving(paged) as url:
        assert len(Read().pages(Source(url, "data", paging=Page(base_page=0, pages_path="meta.pages")))) == 3


def test_pages_go_on_while_the_api_says_so() -> None:
    def paged(asked: Asked) -> Reply:
        number = int(asked.query["page"])
        return json_reply({"data": rows(10, number * 10), "more": number < 4})

    with serving(paged) as url:
        assert len(Read().pages(Source(url, "data", paging=Page(has_more_path="more")))) == 4


def test_cursor_may_travel_in_the_body() -> None:
    listing = Listing(rows(120), by_cursor)
    with serving(listing) as url:
        source = Source(
            url,
            "data",
            method="POST",
            json={"size": 50},
            paging=Cursor(cursor_param=Body("after"), cursor_path="cursors.next"),
        )
        assert ids(Read().items(source)) == list(range(1, 121))
    assert [json.loads(asked.body) for asked in listing.asked[:2]] == [{"size": 50}, {"size": 50, "after": "c50"}]


@pytest.mark.parametrize("count", [0, 1, 20, 47])
def test_offset_may_count_from_1(count: int) -> None:
    def from_1(listing: Listing, asked: Asked) -> Reply:
        offset = int(asked.query["offset"])
        return json_reply({"data": listing.part(offset - 1, 20)} if offset else {"error": "bad offset"})

    listing = Listing(rows(count), from_1)
    with serving(listing) as url:
        assert ids(Read().items(Source(url, "data", paging=Offset(offset=1, limit=20)))) == list(range(1, count + 1))
    assert listing.asked[0].query["offset"] == "1"


def test_offset_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Offset(offset=-1)


def test_total_may_stand_in_a_header() -> None:
    with (
        serving(lambda _: json_reply(rows(9), X_Total_Count="10")) as url,
        pytest.raises(SourceAnswerError, match="total of 10"),
    ):
        Read().items(Source(url, "", total=Header("X-Total-Count")))


class BackFrom:
    """A paging of the user's own: page numbers that count down."""

    def __init__(self, last: int) -> None:
        self._last = last

    def first(self, seed: str, records: int | None) -> Ask:
        return Ask({"page": self._last})

    def next(self, seen: Seen) -> Ask | None:
        number = int(seen.ask.params["page"])
        return Ask({"page": number - 1}) if number > 1 else None


def test_paging_may_be_the_users_own() -> None:
    with serving(Listing(rows(90), by_page)) as url:
        assert len(ids(Read().items(Source(url, "data", paging=BackFrom(3))))) == 90


# --- what an answer may look like ---


def test_items_may_be_the_answer_itself() -> None:
    with serving(lambda _: json_reply(rows(3))) as url:
        assert ids(Read().items(Source(url, ""))) == [1, 2, 3]


def test_columns_become_items() -> None:
    hourly = {"time": ["00:00", "01:00"], "wind": [3.5, None]}
    with serving(lambda _: json_reply({"hourly": hourly})) as url:
        items = Read().items(Source(url, Columns("hourly")))
    assert items == [{"time": "00:00", "wind": 3.5}, {"time": "01:00", "wind": None}]


@pytest.mark.parametrize(
    ("hourly", "says"),
    [
        ({"time": ["00:00"], "wind": []}, "the columns of 'hourly' differ in length: {'time': 1, 'wind': 0}"),
        ({"time": ["00:00"], "unit": "h"}, "items is Columns('hourly'), which is no object of lists"),
    ],
)
def test_columns_that_do_not_fit_are_no_items(hourly: Any, says: str) -> None:
    with serving(lambda _: json_reply({"hourly": hourly})) as url, pytest.raises(SourceAnswerError) as caught:
        Read().items(Source(url, Columns("hourly")))
    assert says in str(caught.value)


NDJSON = "".join(
    json.dumps({"id": number, "text": "a\u2028b"}, ensure_ascii=False) + "\n" for number in (1, 2, 3)
).encode()


@pytest.mark.parametrize(("kind", "declared"), [("application/x-ndjson; charset=utf-8", False), ("text/plain", True)])
def test_each_line_of_ndjson_is_an_item(kind: str, declared: bool) -> None:
    with serving(lambda _: spoil.whole(200, NDJSON, {"Content-Type": kind})) as url:
        assert ids(Read().items(Source(url, "", ndjson=declared))) == [1, 2, 3]


def test_line_of_ndjson_that_is_cut_is_named() -> None:
    cut = spoil.whole(200, NDJSON[:-9], {"Content-Type": "application/x-ndjson"})
    with serving(lambda _: cut) as url, pytest.raises(SourceError, match="line 3"):
        Read().items(Source(url, ""))


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_gzip_without_its_end_is_no_answer(kind: str) -> None:
    def cut(_: Asked) -> Reply:
        good = spoil.gzipped(spoil.whole(200, NDJSON, {"Content-Type": kind}))
        return spoil.whole(200, b"".join(good.body)[:-8], good.headers)

    with serving(cut) as url, pytest.raises(SourceError, match="the end is missing"):
        Read().items(Source(url, "", ndjson=True))


def test_gzip_in_several_members_is_read_whole() -> None:
    def twice(_: Asked) -> Reply:
        good = spoil.gzipped(spoil.whole(200, NDJSON, {}))
        return spoil.whole(200, b"".join(good.body) * 2, good.headers)

    with serving(twice) as url:
        assert ids(Read().items(Source(url, "", ndjson=True))) == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            {"result": [], "success": True},
            "items is 'data', which is absent or null: the answer's keys are result, success",
        ),
        ({"data": {"items": []}}, "items is 'data', which is an object: the answer's keys are data"),
        ([], "items is 'data', which is absent or null: the answer is a list of 0"),
        ({}, "the answer is an empty object"),
        ("no", "the answer is a str"),
    ],
)
def test_error_says_what_came(answer: Any, says: str) -> None:
    with serving(lambda _: json_reply(answer)) as url, pytest.raises(SourceAnswerError) as caught:
        Read().items(Source(url, "data"))
    assert says in str(caught.value)


# --- no end is green with a row missing ---


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_api_that_ignores_its_parameters_is_an_error(kind: str) -> None:
    with pytest.raises(SourceAnswerError, match="page 2 holds the same 50 items as page 1"):
        read(kind, Listing(rows(50), at_once))


def test_api_that_repeats_its_last_page_is_an_error_unless_its_end_is_declared() -> None:
    def clamped(listing: Listing, asked: Asked) -> Reply:
        number = min(int(asked.query["page"]), 3)
        return json_reply({"data": listing.items[(number - 1) * 100 : number * 100], "total": 250})

    with pytest.raises(SourceAnswerError, match="page 4 holds the same 50 items as page 3"):
        read("page", Listing(rows(250), clamped))
    assert read("page", Listing(rows(250), clamped), total="total") == list(range(1, 251))


def test_cursor_that_was_there_before_is_an_error() -> None:
    cursors = iter(enumerate(["a", "b", "a"], start=1))

    def turning(_: Asked) -> Reply:
        number, cursor = next(cursors)
        return json_reply({"data": rows(1, number), "cursors": {"next": cursor}})

    with (
        serving(turning) as url,
        pytest.raises(SourceAnswerError, match=r"page \d leads to page \d again|holds the same"),
    ):
        Read().items(Source(url, "data", paging=Cursor()))


def test_cursor_that_stays_is_an_error() -> None:
    numbers = iter(range(1, 100))
    answers = lambda _: json_reply({"data": rows(1, next(numbers)), "cursors": {"next": "x"}})  # noqa: E731
    with serving(answers) as url, pytest.raises(SourceAnswerError, match="page 2 leads to page 2 again"):
        Read().items(Source(url, "data", paging=Cursor()))


def test_next_address_that_was_there_before_is_an_error() -> None:
    numbers = iter(range(1, 100))
    answers = lambda _: json_reply({"data": rows(1, next(numbers)), "next": "/items?p=2"})  # noqa: E731
    with serving(answers) as url, pytest.raises(SourceAnswerError, match="leads to page 2 again"):
        Read().items(Source(url, "data", paging=NextUrl()))


@pytest.mark.parametrize("kind", KINDS)
def test_total_that_is_not_met_is_an_error(kind: str) -> None:
    def boasting(listing: Listing, asked: Asked) -> Reply:
        good = KINDS[kind][0](listing, asked)
        stated = {**json.loads(b"".join(good.body)), "total": 300}
        return spoil.whole(200, json.dumps(stated).encode(), good.headers)

    with pytest.raises(SourceAnswerError, match="states a total of 300 items, and 247 different ones came"):
        read(kind, Listing(rows(247), boasting), total="total")


@pytest.mark.parametrize("total", ["totals", "data"])
def test_total_that_is_no_number_is_an_error(total: str) -> None:
    with pytest.raises(SourceAnswerError, match="which is no whole number"):
        read("none", Listing(rows(3), at_once), total=total)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            {"total": "meta.total"},
            r"meta.total \(total\) is None, which is no whole number: the answer's keys are data",
        ),
        (
            {"total": Header("X-Total")},
            r"the header X-Total \(total\) is not there: the answer's headers are .*content-type",
        ),
        ({"paging": Page(pages_path="pages")}, r"pages \(pages_path\) is None, .*: the answer's keys are data"),
        (
            {"paging": Offset(has_more_path="more")},
            "more is None, which is neither true nor false: the answer's keys are data",
        ),
    ],
)
def test_what_came_is_told_where_something_is_not_there(source: dict[str, Any], says: str) -> None:
    with (
        serving(lambda _asked: json_reply({"data": [{"id": 1}]})) as url,
        pytest.raises(SourceAnswerError, match=says),
    ):
        Read().items(Source(url, "data", **source))


def test_the_one_object_of_an_answer_is_its_item() -> None:
    with serving(lambda _asked: json_reply({"now": {"id": 1}, "list": [1]})) as url:
        assert Read().items(Source(url, One("now"))) == [{"id": 1}]
        with pytest.raises(
            SourceAnswerError, match=r"items is One\('list'\), which is a list of 1: the answer's keys are"
        ):
            Read().items(Source(url, One("list")))


def insert_in_front(listing: Listing) -> Listing:
    """New rows come to the front of the list while it is read: others move under an offset, and come twice."""

    def change(number: int) -> None:
        if number == 2:
            listing.items[:0] = rows(10, 1_001)

    listing.before = change
    return listing


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_rows_that_come_twice_as_others_move_are_there(kind: str) -> None:
    found = read(kind, insert_in_front(Listing(rows(235), KINDS[kind][0])))
    assert (len(found), len(set(found))) == (245, 235)


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_rows_that_are_added_meanwhile_are_no_rows_that_are_missing(kind: str) -> None:
    found = read(kind, insert_in_front(Listing(rows(235), KINDS[kind][0])), total="total")
    assert (len(found), len(set(found))) == (245, 235)


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_rows_that_are_skipped_as_others_go_are_noticed_by_the_total(kind: str) -> None:
    listing = Listing(rows(235), KINDS[kind][0])
    listing.before = lambda number: listing.items.__delitem__(slice(0, 10)) if number == 2 else None
    with pytest.raises(SourceAnswerError, match="total of 235 items, and 225 different ones came"):
        read(kind, listing, total="total")


@pytest.mark.parametrize(
    ("paging", "answer", "says"),
    [
        (
            Cursor(cursor_path="a.b"),
            {"data": []},
            "cursor_path is 'a.b', and there is no object for it: the answer",
        ),
        (Cursor(cursor_path="next"), {"data": [], "next": {"a": 1}}, "next is {'a': 1}, which is no cursor"),
        (
            Cursor(cursor_path="next", has_more_path="more"),
            {"data": [], "more": True},
            "next names no cursor, while more is true",
        ),
        (NextUrl(next_url_path="a.b"), {"data": []}, "next_url_path is 'a.b', and there is no object for it"),
        (NextUrl(), {"data": [], "next": 7}, "next is 7, which is no address"),
        (Page(pages_path="pages"), {"data": []}, "pages (pages_path) is None, which is no whole number"),
        (Page(pages_path="pages"), {"data": [], "pages": 2}, "page 1 is empty, while it says that there are more"),
        (Page(has_more_path="more"), {"data": [], "more": "yes"}, "more is 'yes', which is neither true nor false"),
        (Offset(has_more_path="more"), {"data": [], "more": True}, "the page is empty, while it says that there are"),
    ],
)
def test_answer_that_does_not_fit_its_paging_is_an_error(paging: Any, answer: Any, says: str) -> None:
    with (
        serving(lambda _: json_reply(answer)) as url,
        pytest.raises(SourceAnswerError, match="in each of 4 attempts") as caught,
    ):
        Read().items(Source(url, "data", paging=paging))
    assert says in str(caught.value)


@pytest.mark.parametrize(("given", "warned"), [({}, True), ({"next": None}, False)])
@pytest.mark.parametrize("paging", [NextUrl(), Cursor(cursor_path="next")])
def test_first_answer_that_does_not_know_the_path_is_told(
    paging: Any, given: Any, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(lambda _: json_reply({"data": rows(2), **given})) as url:
        assert len(Read().items(Source(url, "data", paging=paging))) == 2
    assert ("the first answer has no next" in caplog.text) is warned


# --- where next pages may lead ---


def leading_to(target: str) -> Any:
    return lambda _: json_reply({"data": rows(2), "next": target}, Link=f'<{target}>; rel="next"')


@pytest.mark.parametrize("paging", [NextUrl(), Link()])
def test_next_page_is_followed_on_the_same_origin_only(paging: Any) -> None:
    other = Listing(rows(3, 10), at_once)
    with serving(other) as elsewhere, serving(leading_to(elsewhere)) as url:
        with pytest.raises(SourceAnswerError, match=r"only pages of http://127\.0\.0\.1:\d+ are followed") as caught:
            Read().items(Source(url, "data", paging=paging))
        assert elsewhere in str(caught.value)
    assert other.asked == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[::", "//other.invalid/x"])
def test_next_page_of_another_kind_is_not_followed(target: str) -> None:
    with serving(leading_to(target)) as url, pytest.raises(SourceAnswerError, match="as its next page"):
        Read().items(Source(url, "data", paging=NextUrl()))


@pytest.mark.parametrize(
    "header",
    [
        '<{}>; rel="Next"',
        "<{}>; REL=next",
        '<{}>; title="a=b"; rel="next"',
        '<{}>; rel="next last"',
        '</first>; title="<x>; rel=next"; rel="first", <{}> ; rel = next',
    ],
)
def test_link_is_followed_in_every_form_that_it_may_have(header: str) -> None:
    def paged(asked: Asked) -> Reply:
        more = {"Link": header.format("/items?f=a;b,c&page=2")} if asked.query.get("page") != "2" else {}
        return json_reply(rows(2, 3 if asked.query.get("page") == "2" else 1), **more)

    with serving(paged) as url:
        assert ids(Read().items(Source(url, "", paging=Link()))) == [1, 2, 3, 4]


def test_declared_origin_is_followed() -> None:
    with serving(Listing(rows(3, 10), at_once)) as elsewhere, serving(leading_to(elsewhere)) as url:
        source = Source(url, "data", paging=Link(), origins=(elsewhere.removesuffix("/items"),))
        assert ids(Read().items(source)) == [1, 2, 10, 11, 12]


def test_relative_address_is_that_of_the_answer() -> None:
    def paged(asked: Asked) -> Reply:
        following = {"/items": "more/2", "/more/2": "3?x=1", "/more/3": None}[asked.path]
        return json_reply({"data": rows(1, len(asked.target)), "next": following})

    with serving(paged) as url:
        assert len(Read().pages(Source(url, "data", paging=NextUrl()))) == 3


# --- an answer that names another page, where no paging is declared ---

MORE: list[tuple[Any, dict[str, str], str]] = [
    ({"data": rows(3), "next": "https://api.example.com/things?page=2"}, {}, "next"),
    ({"data": rows(3), "meta": {"next_cursor": "abc"}}, {}, "meta.next_cursor"),
    ({"data": rows(3), "links": {"next": {"href": "/things?page=2"}}}, {}, "links.next"),
    ({"data": rows(3), "has_more": True}, {}, "has_more"),
    ({"data": rows(3), "@odata.nextLink": "https://api.example.com/things?$skip=3"}, {}, "@odata.nextLink"),
    ({"data": rows(3)}, {"Link": '<https://api.example.com/things?page=2>; rel="next"'}, "the header Link"),
]
LAST: list[Any] = [
    {"data": rows(3), "next": None, "next_page": "", "has_more": False, "links": {"next": None, "prev": "/things"}},
    {"data": [{"id": 1, "next": "a field of an item", "has_more": True}]},
]


@pytest.mark.parametrize(("document", "headers", "place"), MORE)
def test_answer_that_names_another_page_is_refused_without_paging(
    document: Any, headers: dict[str, str], place: str
) -> None:
    with serving(lambda _asked: json_reply(document, **headers)) as url:
        with pytest.raises(SourceAnswerError, match=re.escape(f"the name of another page in {place}, which")):
            Read().items(Source(url, "data"))
        assert ids(Read().items(Source(url, "data", paging=FirstPage()))) == [1, 2, 3]


@pytest.mark.parametrize("paging", [Link(), NextUrl(next_url_path="nxt"), Cursor(cursor_path="meta.cursor")])
@pytest.mark.parametrize("document", [document for document, headers, _ in MORE if not headers])
def test_path_that_is_written_wrong_is_told_where_the_answer_names_another_page(document: Any, paging: Any) -> None:
    document = {"meta": {}, **document}
    with (
        serving(lambda _asked: json_reply(document)) as url,
        pytest.raises(SourceAnswerError, match="the name of another page in"),
    ):
        Read().items(Source(url, "data", paging=paging))


@pytest.mark.parametrize("document", LAST)
def test_answer_that_names_no_other_page_is_whole(document: Any) -> None:
    with serving(lambda _asked: json_reply(document)) as url:
        assert Read().items(Source(url, "data")) == document["data"]


def test_fields_of_the_one_item_are_its_own() -> None:
    with serving(lambda _asked: json_reply({"id": 1, "next": "/things/2"})) as url:
        assert len(Read().items(Source(url, One("")))) == 1


# --- an API that answers with a status where a list ends ---


def ended(status: int, pages: int) -> Any:
    """Pages of three items, and the status without a body behind them."""

    def answer(asked: Asked) -> Reply:
        number = int(asked.query.get("page", int(asked.query.get("offset", 0)) // 3 + 1))
        return json_reply({"data": rows(3, number * 3)}) if number <= pages else Reply(status, (), 0)

    return answer


@pytest.mark.parametrize("paging", [Page(), Offset(limit=3)])
@pytest.mark.parametrize("pages", [0, 1, 3])
def test_no_content_is_an_empty_page(paging: Any, pages: int) -> None:
    with serving(ended(204, pages)) as url:
        assert len(Read().items(Source(url, "data", paging=paging))) == 3 * pages


@pytest.mark.parametrize("paging", [None, Link(), NextUrl(), Cursor(), Page(has_more_path="more")])
def test_no_content_at_once_is_an_empty_list(paging: Any) -> None:
    with serving(ended(204, 0)) as url:
        assert Read().items(Source(url, "data", paging=paging, total="count")) == []


@pytest.mark.parametrize("status", [400, 404, 410, 416, 422])
@pytest.mark.parametrize("kind", [Page, Offset])
def test_status_that_is_declared_ends_a_list_behind_its_first_page(kind: Any, status: int) -> None:
    sized = {"limit": 3} if kind is Offset else {}
    with serving(ended(status, 2)) as url:
        assert len(Read().items(Source(url, "data", paging=kind(end_status=status, **sized)))) == 6
        with pytest.raises(
            SourceAnswerError, match=rf"2 pages came before\..*declare {kind.__name__}\(…, end_status={status}"
        ):
            Read().items(Source(url, "data", paging=kind(**sized)))
    with serving(ended(status, 0)) as url, pytest.raises(SourceAnswerError, match="address right"):
        Read().items(Source(url, "data", paging=kind(end_status=status, **sized)))


@pytest.mark.parametrize("status", [204, 404])
def test_status_is_no_end_while_the_answer_before_says_that_there_are_more(status: int) -> None:
    def answer(asked: Asked) -> Reply:
        more = json_reply({"data": rows(3), "more": True})
        return more if asked.query["page"] == "1" else Reply(status, (), 0)

    paging = Page(has_more_path="more", end_status=404)
    with serving(answer) as url, pytest.raises(SourceAnswerError, match="more"):
        Read().items(Source(url, "data", paging=paging))


def test_status_is_no_end_before_the_total() -> None:
    def answer(asked: Asked) -> Reply:
        return json_reply({"data": rows(3), "n": 7}) if asked.query["page"] == "1" else Reply(404, (), 0)

    with serving(answer) as url, pytest.raises(SourceAnswerError, match="a total of 7 items, and 3 different"):
        Read().items(Source(url, "data", total="n", paging=Page(end_status=404)))


def test_api_that_ignores_its_paging_and_changes_its_items_is_not_read_for_ever() -> None:
    served = iter(range(10**9))
    with serving(lambda _asked: json_reply({"data": [{"id": 1, "served": next(served)}]})) as url:
        with pytest.raises(SourceAnswerError, match=r"5 pages came and the list does not end\..*source\.max_pages"):
            Read(settings={"max_pages": 5}).items(Source(url, "data", paging=Page()))
        assert len(Read(settings={"max_pages": 1}).items(Source(url, "data"))) == 1
