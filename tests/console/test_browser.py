"""The console in a real browser: read by everybody, at every width, live, and honest when it is cut off."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from penstock.audit.overview import PipelinePart, RefusedPart
from tests.consoles import EVIL, OTHERS, TOKEN, Console, serving
from tests.pictures import DONE, counted, held, picture, scheduled, silent
from tests.topics import GOOD, Kafka
from tests.waiting import until

WIDTHS = (1400, 820, 390)
LETTER = f"/p/users/letters/{1:064x}"
PAGES = (
    "/p/users",
    "/p/users?span=day",
    "/p/users/letters",
    LETTER,
    "/p/users/runs/r",
    "/p/users/trace",
    "/p/users/trace?q=x",
    "/services",
    "/services/kafka",
    "/doctor",
    "/nothing",
)


def flowing(passed: int = 11_243) -> PipelinePart:
    return picture(held((0, 12_345), missing_field=3), counted(passed, 12_345, {0: passed - 1}, rejected=39))


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One that only shows, for tests that change nothing of what it sees."""
    with serving(tmp_path_factory.mktemp("console"), flowing()) as here:
        yield here


@contextmanager
def opened(browser: Browser, console: Console, path: str = "/p/users", **context: Any) -> Iterator[Page]:
    """The page, for somebody who was let in; fails where the browser complains of anything."""
    complaints: list[str] = []
    with browser.new_context(**context) as own:
        page = own.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        separator = "&" if "?" in path else "?"
        page.goto(f"{console.url}{path}{separator}token={TOKEN}")
        yield page
    # A page that is not there is one that says so.
    assert [text for text in complaints if "404" not in text and "ERR_CONNECTION" not in text] == []


def wide(width: int) -> Mapping[str, Any]:
    return {"viewport": {"width": width, "height": 900}}


@pytest.mark.parametrize(
    ("paths", "scheme", "width"), [(PAGES, "light", 1400), (PAGES[:1], "dark", 1400), (PAGES[:1], "light", 390)]
)
def test_axe_finds_nothing(browser: Browser, console: Console, paths: Sequence[str], scheme: str, width: int) -> None:
    with opened(browser, console, color_scheme=scheme, **wide(width)) as page:
        for path in paths:
            page.goto(console.url + path)
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(browser: Browser, console: Console, width: int) -> None:
    with opened(browser, console, **wide(width)) as page:
        for path in PAGES:
            page.goto(console.url + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_texts_of_the_drawing_stay_in_their_boxes(browser: Browser, console: Console, width: int) -> None:
    with opened(browser, console, **wide(width)) as page:
        outside = page.evaluate(
            """() => [...document.querySelectorAll("svg.flow-of g[class^=box-]")]
            .filter((g) => g.getClientRects().length)
            .flatMap((g) => { const box = g.querySelector("rect.box").getBoundingClientRect();
              return [...g.querySelectorAll("text")].filter((text) => {
                const own = text.getBoundingClientRect();
                return own.width && (own.left < box.left || own.right > box.right + 1 || own.bottom > box.bottom + 1);
              }).map((text) => text.textContent); })"""
        )
        assert outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_boxes_of_the_drawing_have_the_colour_of_their_card(browser: Browser, console: Console, scheme: str) -> None:
    with opened(browser, console, color_scheme=scheme) as page:
        fills = page.evaluate(
            """() => [...document.querySelectorAll("svg.wide rect.box")].map((box) => getComputedStyle(box).fill)"""
        )
        card = page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
        assert set(fills) == {card}


def test_what_changes_is_shown_without_a_reload_and_pipes_move_only_then(browser: Browser, tmp_path: Path) -> None:
    done = picture(held((0, 12_345)), counted(12_345, 12_345, {0: 12_344}))
    with serving(tmp_path, done) as console, opened(browser, console) as page:
        page.evaluate("window.mark = 'same page'")
        expect(page.locator(".say")).to_contain_text("Nothing is on its way")
        assert page.locator("svg.wide .moves-1, svg.wide .moves-2, svg.wide .moves-3").count() == 0
        passed = 5_000
        console.looks.parts = [flowing(passed)]
        expect(page.locator(".say")).to_contain_text("is arriving: 4,961 of 12,345")
        expect(page.locator("svg.wide .level").first).to_be_visible()
        assert page.evaluate("window.mark") == "same page"


def test_layout_does_not_jump_while_the_page_changes(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, flowing(5_000)) as console, opened(browser, console) as page:
        page.evaluate(
            """() => { window.shift = 0; new PerformanceObserver((list) => {
              for (const entry of list.getEntries()) window.shift += entry.value;
            }).observe({ type: "layout-shift", buffered: true }); }"""
        )
        for passed in (7_000, 9_000, 11_000):
            console.looks.parts = [flowing(passed)]
            expect(page.locator(".say")).to_contain_text(f"{passed - 39:,} of 12,345")
        assert page.evaluate("window.shift") < 0.01


def test_focus_stays_where_it_was_while_the_page_changes(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, flowing(5_000)) as console, opened(browser, console) as page:
        link = page.locator("#runs-users a").first
        link.focus()
        console.looks.parts = [flowing(9_000)]
        expect(page.locator(".say")).to_contain_text("8,961 of 12,345")
        expect(link).to_be_focused()


def test_page_that_nobody_sees_holds_no_connection_and_is_up_to_date_when_it_is_seen(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path, flowing(5_000)) as console, opened(browser, console) as page:
        expect(page.locator(".say")).to_contain_text("4,961 of 12,345")
        requests: list[str] = []
        page.on("requestfinished", lambda request: requests.append(request.url))
        page.on("requestfailed", lambda request: requests.append(request.url))
        page.evaluate(_SEEN, True)
        until(lambda: page.wait_for_timeout(50) or any("/events" in url for url in requests))
        console.looks.parts = [flowing(9_000)]
        page.evaluate(_SEEN, False)
        expect(page.locator(".say")).to_contain_text("8,961 of 12,345")


_SEEN = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_page_says_when_it_is_cut_off(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, flowing()) as console, opened(browser, console) as page:
        expect(page.locator("#stale")).to_be_hidden()
        console.stop()
        expect(page.locator("#stale")).to_contain_text("Stale since")


def test_several_pipelines_are_seen_at_once_and_each_has_its_page(browser: Browser, tmp_path: Path) -> None:
    other = picture(held((0, 100)), DONE, scheduled(), pipeline=OTHERS, cassandra=silent(12))
    with serving(tmp_path, flowing(), other) as console, opened(browser, console, "/") as page:
        expect(page.locator("svg.wide")).to_have_count(2)
        expect(page.locator("#say-others")).to_contain_text("Cassandra has not answered for 12 s")
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="others").click()
        expect(page.locator("svg.wide")).to_have_count(1)
        assert page.url.endswith("/p/others")


def test_pipeline_that_is_added_appears_and_one_that_is_refused_is_said(browser: Browser, tmp_path: Path) -> None:
    other = picture(held((0, 100)), DONE, pipeline=OTHERS)
    with serving(tmp_path, flowing(), other) as console, opened(browser, console, "/") as page:
        console.looks.refused = [RefusedPart(place="pipelines/x.py", problem=f"pipelines/x.py: {EVIL}")]
        expect(page.locator("#refused .say")).to_contain_text("is refused")
        assert Axe().run(page).violations_count == 0
        console.looks.refused, console.looks.parts = (), [flowing()]
        expect(page.locator("svg.wide")).to_have_count(1)
        expect(page.locator("#refused .say")).to_have_count(0)


def test_keyboard_reaches_the_content_first(browser: Browser, console: Console) -> None:
    with opened(browser, console) as page:
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="To the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()


def test_who_wants_no_motion_sees_none(browser: Browser, console: Console) -> None:
    with opened(browser, console, reduced_motion="reduce") as page:
        moving = page.evaluate("document.getAnimations().length")
        assert moving == 0


def test_link_from_another_page_asks_for_one_click(browser: Browser, console: Console) -> None:
    """A browser keeps a strict cookie to itself when another site leads here."""
    with browser.new_context() as own:
        page = own.new_page()
        page.goto(f"{console.url}/services?token={TOKEN}")
        page.goto("data:text/html,<a href='" + console.url + "/services'>to the console</a>")
        page.get_by_role("link").click()
        page.get_by_role("link", name="Go on").click()
        expect(page.get_by_role("heading", name="Services of the local stack")).to_be_visible()


def test_correction_is_judged_as_it_is_typed(browser: Browser, console: Console) -> None:
    with opened(browser, console, LETTER) as page:
        verdict, replay = page.locator("#verdict"), page.get_by_role("button", name="Replay")
        expect(page.locator("mark")).to_have_text("7")
        expect(verdict).to_contain_text("id: ")
        expect(replay).to_be_disabled()
        good = (
            '{"id":"3f0c1f3e-2d1f-4a6e-9b43-111111111111","first_name":"a","last_name":"b","email":"e","username":"u"}'
        )
        page.get_by_role("textbox", name="Correct and replay").fill(good)
        expect(verdict).to_have_text("This is a record.")
        expect(replay).to_be_enabled()


def test_letters_are_replayed_and_dismissed_by_the_forms_of_the_page(browser: Browser, tmp_path: Path) -> None:
    topic = Kafka()
    wrong, unneeded = topic.reject("t/0/1"), topic.reject("t/0/2", b"{}")
    with serving(tmp_path, flowing(), topic=topic) as console, opened(browser, console) as page:
        page.goto(f"{console.url}/p/users/letters/{wrong}")
        page.get_by_role("textbox", name="Correct and replay").fill(GOOD.decode())
        page.get_by_role("button", name="Replay").click()
        expect(page.locator("#outcome")).to_contain_text("Replayed")
        assert [message.value for message in topic.published] == [GOOD]
        topic.resolve(wrong)
        expect(page.locator("#outcome")).to_contain_text("Resolved")
        page.goto(f"{console.url}/p/users/letters/{unneeded}")
        page.get_by_role("textbox", name="Why it needs no replay").fill("a test of theirs")
        page.get_by_role("button", name="Dismiss").click()
        expect(page.locator("#outcome")).to_contain_text("Dismissed")


def test_hundred_thousand_letters_are_a_page_of_a_hundred(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, flowing(), letters=100_000) as console, opened(browser, console, "/p/users/letters") as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("100,000 open dead letters")
        expect(page.locator("tbody tr")).to_have_count(100)
        page.get_by_role("link", name="older").click()
        expect(page.locator(".pages")).to_contain_text("101–200")


def test_setting_hides_what_is_in_records(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, flowing(), show_values=False) as console, opened(browser, console) as page:
        for path in ("/p/users/letters", LETTER, "/p/users/runs/r", "/p/users/trace?q=x"):
            page.goto(console.url + path)
            assert "email" not in page.inner_text("main")
            assert page.locator("main textarea, main pre.bytes").count() == 0
