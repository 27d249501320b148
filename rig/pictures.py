"""The pictures of the console, taken from a running stack while it carries a run, so that they never rot.

`console.svg` is the drawing as the page has it, moving, with the sheet's rules that it needs; the others are PNGs of
whole pages, to be looked at. `scripts/pictures` starts the stack and calls this.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

from playwright.sync_api import Browser, Page

from penstock.config import Settings, read_settings
from penstock.ingest import run_ingest
from penstock.pipelines.project import chosen
from penstock.servers.console_token import address
from penstock.source import Interval
from rig.browsers import chromium

_RECORDS = 30_000
_RUN = "manual__2025-03-12T00:00:00+00:00"
_MOVES = "svg.wide .pipe-read .moves-2, svg.wide .pipe-read .moves-3"
_WIDTHS = (1_400, 820, 390)
_PATHS = {"letters": "/p/users/letters", "run": f"/p/users/runs/{_RUN}", "services": "/services", "doctor": "/doctor"}

_DRAWING = """() => {
  const flow = document.querySelector("svg.wide").cloneNode(true);
  for (const link of flow.querySelectorAll("a")) link.replaceWith(...link.childNodes);
  const used = (rule) => rule.selectorText.split(",").some((each) => each.trim() === ":root"
    || document.querySelector("svg.wide").matches(each) || document.querySelector("svg.wide").querySelector(each));
  const kept = (rules) => [...rules].flatMap((rule) => {
    if (rule instanceof CSSKeyframesRule) return [rule.cssText];
    if (rule instanceof CSSStyleRule) return used(rule) ? [rule.cssText] : [];
    if (!(rule instanceof CSSMediaRule) || !rule.conditionText.includes("prefers-")) return [];
    return [`@media ${rule.conditionText} {`, ...kept(rule.cssRules), "}"];
  });
  return {
    flow: new XMLSerializer().serializeToString(flow),
    sentence: document.querySelector(".say").innerText.trim(),
    rules: kept(document.styleSheets[0].cssRules).join("\\n"),
  };
}"""


def main(docs: Path, pictures: Path) -> None:
    """Writes `console.svg` into the one folder, and PNGs of whole pages into the other."""
    settings = read_settings()
    with chromium() as browser:
        with browser.new_context(viewport={"width": _WIDTHS[0], "height": 900}) as context:
            page = context.new_page()
            page.goto(address(settings, "/p/users"))
            with ThreadPoolExecutor(1) as threads:  # while it fetches, what it has fetched flows already
                fetching = threads.submit(_fetch, settings)
                page.wait_for_selector(_MOVES, state="attached", timeout=300_000)  # a level pipe has no height
                (docs / "console.svg").write_text(_svg(page), "utf-8")
                fetching.result()
        _take(browser, settings, pictures)


def _fetch(settings: Settings) -> None:
    run_ingest(settings, chosen(settings, "users"), _RUN, Interval(datetime.now(UTC)), _RECORDS)


def _svg(page: Page) -> str:
    """The drawing by itself: no script, no link, nothing from elsewhere."""
    found = page.evaluate(_DRAWING)
    flow = found["flow"].replace("<svg ", '<svg y="64" height="296" ', 1)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1240 368" role="img" aria-label="The console">
<style>
{found["rules"]}
.page {{ fill: var(--card); stroke: var(--line); }}
.sentence {{ fill: var(--ink); font: 19px system-ui, "Noto Sans", sans-serif; }}
</style>
<rect class="page" x="1" y="1" width="1238" height="366" rx="14"/>
<circle class="level" cx="30" cy="35" r="6"/>
<text class="sentence" x="48" y="42">{escape(found["sentence"])}</text>
{flow}
</svg>
"""


def _take(browser: Browser, settings: Settings, pictures: Path) -> None:
    pictures.mkdir(parents=True, exist_ok=True)
    for width in _WIDTHS:
        for scheme in ("light", "dark"):
            with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
                page = context.new_page()
                for name, path in {"pipeline": "/p/users", **_PATHS}.items():
                    page.goto(address(settings, path))
                    page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
