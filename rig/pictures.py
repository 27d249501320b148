"""The pictures of the console, taken from a running stack while it carries a run, so that they never rot.

`console.svg` is the page while a demo runs and the stream is killed, moving; the others are PNGs of whole pages, to be
looked at. `scripts/pictures` starts the stack and calls this.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from time import monotonic
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring

from playwright.sync_api import Browser, Page

from penstock.config import Settings, read_settings
from penstock.launcher import control
from penstock.servers.console_token import address
from rig import stacks
from rig.browsers import chromium
from rig.moving import SVG, Frame, moving

_RECORDS = 30_000
_KILLED_AFTER = 8_000
"""Rows that are stored when the stream is killed."""
_SPEED = 4
"""How much quicker than it happened the film is shown."""
_BEFORE_S, _AFTER_S = 4.0, 16.0
"""Shown of what is before the run and after it, as it happened."""
_TIMEOUT_MS = 300_000
_WIDTHS = (1_400, 820, 390)
_PATHS = {"letters": "/p/users/letters", "services": "/services", "doctor": "/doctor"}

_WIDTH, _CAPTION = 1_280, 52
"""Of the film: its width, and the height of the line above the page."""
_SHEET = """svg { color: var(--ink); font: 15px system-ui, "Noto Sans", sans-serif; }
.ground { fill: var(--bg); }
.page, .chip { fill: var(--card); stroke: var(--line); }
.rule { stroke: var(--line); }
.right { text-anchor: end; }
.caption { fill: var(--soft); font-family: var(--mono); font-size: 14px; }
.of-ink { fill: var(--ink); } .of-soft { fill: var(--soft); } .of-water { fill: var(--water); }
.of-good { fill: var(--good); } .of-bad { fill: var(--bad); } .of-wait { fill: var(--wait); }"""

_IS_FLOWING = "() => document.querySelector('.say.flowing')"
_HAS_STORED = """(least) => {
  const rows = document.querySelector("#runs-users tbody tr td:nth-child(5)");
  return rows && Number(rows.innerText.replaceAll(",", "")) >= least;
}"""
_IS_DONE = "() => document.querySelector('.say.idle') && document.querySelector('#runs-users .word.balances')"


@dataclass(frozen=True)
class _Line:
    """What was typed or printed beside the page, and when."""

    at_s: float
    text: str


def main(docs: Path, pictures: Path) -> None:
    """Writes `console.svg` into the one folder, and PNGs of whole pages into the other."""
    settings = read_settings()
    with chromium() as browser:
        with browser.new_context(viewport={"width": _WIDTHS[0], "height": 900}) as context:
            page = context.new_page()
            page.goto(address(settings, "/p/users"))
            (docs / "console.svg").write_text(_film(settings, page), "utf-8")
            run = page.locator("#runs-users a").first.get_attribute("href") or ""
        _take(browser, settings, pictures, {"pipeline": "/p/users", "run": run, **_PATHS})


def _film(settings: Settings, page: Page) -> str:
    """A demo, whose stream is killed while records flow."""
    page.evaluate(f"() => {{ {Path(__file__).with_name('console.js').read_text('utf-8')}; film(); }}")
    start_s = monotonic()

    def seen(text: str) -> _Line:
        return _Line(monotonic() - start_s, text)

    with ThreadPoolExecutor(1) as threads:
        demo = threads.submit(stacks.penstock, settings, "demo", "--records", str(_RECORDS))
        _wait(page, demo, _IS_FLOWING)
        begun = seen(f"$ scripts/demo --records {_RECORDS}")
        _wait(page, demo, _HAS_STORED, _KILLED_AFTER)
        pid = control.status(settings, memory=False).service("stream").pid
        assert pid, "the stream does not run"
        os.kill(pid, signal.SIGKILL)
        killed = seen(f"$ kill -9 {pid}   # the Spark application")
        told = demo.result()
        assert told.returncode == 0, told.stderr
        balanced = seen(told.stdout.strip().splitlines()[-1])
        page.wait_for_function(_IS_DONE, timeout=_TIMEOUT_MS)
        ends_s = monotonic() - start_s + _AFTER_S
    return _shown(page.evaluate("() => filmed()"), (begun, killed, balanced), ends_s)


def _wait(page: Page, demo: "Future[CompletedProcess[str]]", condition: str, argument: object = None) -> None:
    """Until the page shows it; a demo that has ended by then is one that failed."""
    page.wait_for_function(condition, arg=argument, timeout=_TIMEOUT_MS)
    assert not demo.done(), f"the demo has ended too early: {demo.result()}"


def _shown(filmed: Any, lines: Sequence[_Line], ends_s: float) -> str:
    """The film from a little before the first line on, quicker than it happened, the latest line above the page."""
    first_s = lines[0].at_s - _BEFORE_S
    taken = [Frame(each["at_s"] - first_s, fromstring(each["svg"])) for each in filmed["frames"]]  # noqa: S314 - ours
    before = [frame for frame in taken if frame.at_s <= 0]
    kept = [*before[-1:], *(frame for frame in taken if frame.at_s > 0)]
    frames = [Frame(max(0.0, frame.at_s) / _SPEED, _captioned(frame, lines, first_s)) for frame in kept]
    still = max(number for number, frame in enumerate(kept) if frame.at_s + first_s < lines[1].at_s)
    height = _CAPTION + max(int(frame.picture.get("height", 0)) for frame in kept)
    return moving(
        frames,
        ends_s=(ends_s - first_s) / _SPEED,
        still=still,
        sheet="\n".join([*filmed["rules"], _SHEET]),
        **{"viewBox": f"0 0 {_WIDTH} {height}", "role": "img", "aria-label": "The console while a demo runs"},
    )


def _captioned(frame: Frame, lines: Sequence[_Line], first_s: float) -> Element:
    """The page on its ground; above it what was typed or printed last, and the time since the first line."""
    happened_s = frame.at_s + first_s
    said = next((line.text for line in reversed(lines) if line.at_s <= happened_s), "")
    clock_s = max(0, int(happened_s - lines[0].at_s))
    whole = Element(f"{{{SVG}}}g")
    SubElement(whole, f"{{{SVG}}}rect", {"class": "ground", "width": "100%", "height": "100%"})
    for text, x, kind in (
        (said, 24, "caption"),
        (f"{clock_s // 60}:{clock_s % 60:02}, shown {_SPEED} times as fast", _WIDTH - 24, "caption right"),
    ):
        SubElement(whole, f"{{{SVG}}}text", {"class": kind, "x": f"{x}", "y": "32"}).text = text
    page = SubElement(whole, f"{{{SVG}}}g", {"transform": f"translate(0 {_CAPTION - 20})"})
    page.extend(frame.picture)
    return whole


def _take(browser: Browser, settings: Settings, pictures: Path, paths: Mapping[str, str]) -> None:
    pictures.mkdir(parents=True, exist_ok=True)
    for width in _WIDTHS:
        for scheme in ("light", "dark"):
            with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
                page = context.new_page()
                for name, path in paths.items():
                    page.goto(address(settings, path))
                    page.screenshot(path=pictures / f"{name}-{width}-{scheme}.png", full_page=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
