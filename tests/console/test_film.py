"""The film of the console in the docs: at each moment it shows the texts that the page had then, and no others."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from penstock.audit.overview import PipelinePart
from rig.moving import moving
from rig.pictures import begin_film, end_film
from tests.consoles import TOKEN, serving
from tests.pictures import counted, held, picture

_TEXTS = """(at_ms) => {
  for (const each of document.getAnimations()) { each.pause(); each.currentTime = at_ms; }
  const seen = (one) => !one || !one.closest || (getComputedStyle(one).opacity === "1" && seen(one.parentElement));
  return [...document.querySelectorAll("text")].filter(seen).map((one) => one.textContent);
}"""


def flowing(passed: int) -> PipelinePart:
    return picture(held((0, 12_345)), counted(passed, 12_345, {0: passed - 1}))


def test_film_shows_at_each_moment_what_the_page_showed(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, flowing(11_243)) as console, browser.new_context() as own:
        page = own.new_page()
        page.goto(f"{console.url}/p/users?token={TOKEN}")
        begin_film(page)
        console.looks.parts = [flowing(12_077)]
        expect(page.locator("#runs-users")).to_contain_text("12,077")
        film = end_film(page)
        (tmp_path / "film.svg").write_text(moving(film.frames, 60.0, 0, "\n".join(film.rules)), "utf-8")
        page.goto((tmp_path / "film.svg").as_uri())
        first, last = (page.evaluate(_TEXTS, at_s * 1000) for at_s in (0.0, 59.0))
    assert "11,243" in first
    assert "12,077" not in first
    assert "12,077" in last
    assert "11,243" not in last
    assert "Dead letters" in first
    assert "Dead letters" in last
