"""What the console of a running stack costs: processor time while nobody looks, one page and ten do; and first paint.

Prints one JSON object. `docs/console.md` has the figures of one machine.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import httpx
import psutil

from penstock.config import Settings, read_settings
from penstock.launcher import control
from penstock.servers.console_token import address, token
from rig.browsers import chromium

_OVER_S = 20.0
_PAINTS = 15
_PARTS = "head,services,refused,say-users,flow-users,runs-users,charts-users"
"""What the page of a pipeline asks for."""
_PAINT = """() => new Promise((found) => new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByName("first-contentful-paint")) found(entry.startTime);
}).observe({ type: "paint", buffered: true }))"""
"""Tells, once it is known, when the page first had content, in milliseconds."""


def main() -> None:
    """Measures the console of the stack that the settings name; nothing should flow in it."""
    settings = read_settings()
    pid = control.status(settings, memory=False).service("console").pid
    shares = {}
    for pages in (0, 1, 10):
        with _watching(settings, pages):
            shares[f"cpu_percent_with_{pages}_pages"] = round(_share(psutil.Process(pid)) * 100, 2)
    paints = _paints(settings)
    memory = psutil.Process(pid).memory_full_info().pss
    found = {"first_paint_ms_median": median(paints), "first_paint_ms_most": max(paints), "pss_mib": memory >> 20}
    print(json.dumps({**shares, **found}))  # noqa: T201 - the result


def _share(process: psutil.Process) -> float:
    """The share of one core that the process uses while it is watched."""
    before = process.cpu_times()
    threading.Event().wait(_OVER_S)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / _OVER_S


@contextmanager
def _watching(settings: Settings, pages: int) -> Iterator[None]:
    """Holds as many connections open as this many pages that somebody sees."""
    ending, url = threading.Event(), address(settings).partition("?")[0]

    def watch() -> None:
        headers = {"Authorization": f"Bearer {token(settings)}"}
        with httpx.stream("GET", f"{url}events?parts={_PARTS}", headers=headers, timeout=30) as answer:
            for _ in answer.iter_lines():
                if ending.is_set():
                    return

    threads = [threading.Thread(target=watch) for _ in range(pages)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ending.set()
        for thread in threads:
            thread.join()


def _paints(settings: Settings) -> Sequence[int]:
    """Milliseconds until the first content of the page is painted, in a browser that has seen it before."""
    with chromium() as browser, browser.new_context() as context:
        page = context.new_page()
        page.goto(address(settings, "/p/users"))
        found = []
        for _ in range(_PAINTS):
            page.goto(address(settings, "/p/users").partition("?")[0])
            found.append(round(page.evaluate(_PAINT)))
    return found


if __name__ == "__main__":
    main()
