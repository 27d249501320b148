"""The pictures of the console, taken from a running stack while it carries a run, so that they never rot.

`console.svg` is the page while a demo runs and the stream is killed, moving; the others are PNGs of whole pages, to be
looked at. `scripts/pictures` starts the stack and calls this.
"""

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from time import monotonic
from xml.etree.ElementTree import Element, SubElement, fromstring

from playwright.sync_api import Browser, Page

from penstock.config import Settings, read_settings
from penstock.launcher import control
from penstock.servers.console_token import address
from rig import stacks
from rig.browsers import chromium
from rig.moving import SVG, Frame, moving

_RECORDS = 60_000
_KILLED_AFTER = 15_000
"""Rows that are stored when the stream is killed."""
_SPEED = 4
"""How much quicker than it happened the film is shown."""
_BEFORE_S, _AFTER_S = 4.0, 16.0
"""Shown of what is before the run and after it, as it happened."""
_TIMEOUT_S = 600
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
class Film:
    """What a page looked like whenever it had changed, and the rules of its sheet that are needed to draw it."""

    frames: Sequence[Frame]
    rules: Sequence[str]


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


def begin_film(page: Page) -> None:
    """From here on the page is filmed; a page filmed already begins anew."""
    page.evaluate(f"() => {{ {Path(__file__).with_name('console.js').read_text('utf-8')}; film(); }}")


def end_film(page: Page) -> Film:
    """What was seen since `begin_film`, in seconds since then."""
    filmed = page.evaluate("() => filmed()")
    frames = [Frame(each["at_s"], fromstring(each["svg"])) for each in filmed["frames"]]  # noqa: S314 - ours
    return Film(frames, filmed["rules"])


def _film(settings: Settings, page: Page) -> str:
    """A demo, whose stream is killed while records flow."""
    begin_film(page)
    start_s = monotonic()

    def seen(text: str) -> _Line:
        return _Line(monotonic() - start_s, text)

    with ThreadPoolExecutor(1) as threads:
        demo = threads.submit(stacks.penstock, settings, "demo", "--records", str(_RECORDS), timeout_s=_TIMEOUT_S)
        _wait(page, demo, _IS_FLOWING)
        begun = seen(f"$ scripts/demo --records {_RECORDS}")
        _wait(page, demo, _HAS_STORED, _KILLED_AFTER)
        pid = control.status(settings, memory=False).service("stream").pid
        assert pid, "the stream does not run"
        os.kill(pid, signal.SIGKILL)
        killed = seen(f"$ kill -9 {pid} # the Spark application")
        page.wait_for_function(_IS_DONE, timeout=1_000 * _TIMEOUT_S)
        settled_s = monotonic() - start_s
        told = demo.result()
        assert told.returncode == 0, told.stderr
        balanced = seen(next(line for line in told.stdout.splitlines() if line.startswith("fetched")))
        threading.Event().wait(_AFTER_S)
    return _shown(end_film(page), (begun, killed, balanced), settled_s)


def _wait(page: Page, demo: "Future[CompletedProcess[str]]", condition: str, argument: object = None) -> None:
    """Until the page shows it; a demo that has ended by then is one that failed."""
    page.wait_for_function(condition, arg=argument, timeout=1_000 * _TIMEOUT_S)
    assert not demo.done(), f"the demo has ended too early: {demo.result()}"


def _shown(film: Film, lines: Sequence[_Line], settled_s: float) -> str:
    """The film from a little before the first line on, quicker than it happened, the latest line above the page.

    What is left out is the time in which the command only compares rows with messages and the page stands still.
    """
    first_s, last_s = max(film.frames[0].at_s, lines[0].at_s - _BEFORE_S), lines[-1].at_s
    pause_s = min(settled_s + _AFTER_S, last_s)
    ends_s = max(settled_s, last_s) + _AFTER_S
    changes = sorted({*(frame.at_s for frame in film.frames), *(line.at_s for line in lines)})
    moments = [first_s, *(at_s for at_s in changes if first_s < at_s <= pause_s or last_s <= at_s < ends_s)]

    def shown_s(at_s: float) -> float:
        return (at_s - first_s - (last_s - pause_s if at_s >= last_s else 0)) / _SPEED

    taken = [Frame(at_s, next(each.picture for each in reversed(film.frames) if each.at_s <= at_s)) for at_s in moments]
    height = _CAPTION + max(int(frame.picture.get("height", 0)) for frame in taken)
    return moving(
        [Frame(shown_s(frame.at_s), _captioned(frame, lines)) for frame in taken],
        ends_s=shown_s(ends_s),
        still=sum(at_s < lines[1].at_s for at_s in moments) - 1,
        sheet="\n".join([*film.rules, _SHEET]),
        **{"viewBox": f"0 0 {_WIDTH} {height}", "role": "img", "aria-label": "The console while a demo runs"},
    )


def _captioned(frame: Frame, lines: Sequence[_Line]) -> Element:
    """The page on its ground; above it what was typed or printed last, and the time since the first line."""
    said = next((line.text for line in reversed(lines) if line.at_s <= frame.at_s), "")
    clock_s = max(0, int(frame.at_s - lines[0].at_s))
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
