"""The documentation's site in a real browser, opened as files: built without a complaint, narrow enough, searched."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from handbook.site import build

LONG_MS = 60_000
"""The index of the search is loaded and read first."""

_HAS_A_CUT_TABLE = """[...document.querySelectorAll("article table")].some((table) => {
  const place = table.closest(".md-typeset__scrollwrap");
  return place.scrollWidth > place.clientWidth + 1;
})"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handbook") / "site"
    assert build(folder) == []
    return folder


@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_is_wider_than_the_screen(browser: Browser, site: Path, width: int) -> None:
    with browser.new_context(viewport={"width": width, "height": 900}) as own:
        page = own.new_page()
        wide = []
        for file in sorted([*site.glob("*.html"), *site.glob("project/*.html")]):
            page.goto(file.as_uri())
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(file.name)
        assert wide == []


def test_no_table_is_cut_on_a_desktop(browser: Browser, site: Path) -> None:
    with browser.new_context(viewport={"width": 1400, "height": 900}) as own:
        page = own.new_page()
        cut = []
        for file in sorted([*site.glob("*.html"), *site.glob("project/*.html")]):
            page.goto(file.as_uri())
            if page.evaluate(_HAS_A_CUT_TABLE):
                cut.append(file.name)
        assert cut == []


def test_search_finds_a_message_in_the_runbook_and_asks_nobody(browser: Browser, site: Path) -> None:
    with browser.new_context() as own:
        page = own.new_page()
        complaints: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "start.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("checkpoint is damaged")
        expect(page.get_by_text("The checkpoint does not fit").first).to_be_visible(timeout=LONG_MS)
        assert complaints == []
        assert [address for address in asked if "://" in address and not address.startswith("file:")] == []
