"""The pictures of the console in docs/: taken from the running stack while it carries a run, so that they never rot.

`scripts/pictures` starts the stack and calls this.
"""

import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import FloatRect, Page

from penstock.config import read_settings
from penstock.ingest import run_ingest
from penstock.pipelines.project import DEFAULT, load_pipeline
from penstock.servers.console_token import address
from penstock.source import Interval
from rig.browsers import chromium

_RECORDS = 30_000
_FRAMES, _EVERY_MS = 40, 250
_WIDTH, _HEIGHT = 1_100, 400


def main(folder: Path) -> None:
    """Writes `console.png` and the moving `console-flows.png`."""
    settings = read_settings()
    pipeline = load_pipeline(DEFAULT)
    with chromium() as browser, browser.new_context(viewport={"width": _WIDTH, "height": 760}) as context:
        page = context.new_page()
        page.goto(address(settings, f"/p/{pipeline.name}"))
        run_ingest(settings, pipeline, "manual__2025-03-12T00:00:00+00:00", Interval(datetime.now(UTC)), _RECORDS)
        page.wait_for_selector("svg.wide .moves-2, svg.wide .moves-3", timeout=300_000)
        page.screenshot(path=folder / "console.png", full_page=True)
        (folder / "console-flows.png").write_bytes(animated(list(_frames(page)), _EVERY_MS))


def _frames(page: Page) -> Iterator[bytes]:
    card = page.locator("section.card").first.bounding_box()
    clip: FloatRect = {"x": 0, "y": card["y"] if card else 0, "width": _WIDTH, "height": _HEIGHT}  # the same for all
    for _ in range(_FRAMES):
        yield page.screenshot(clip=clip, animations="allow")
        page.wait_for_timeout(_EVERY_MS)


def animated(frames: Sequence[bytes], every_ms: int) -> bytes:
    """PNGs of one size as one that moves: https://www.w3.org/TR/png-3/#apngFrame-based-animation."""
    first = _chunks(frames[0])
    header = next(data for name, data in first if name == b"IHDR")
    size, number = header[:8], 0
    parts = [_chunk(b"IHDR", header), _chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    for index, frame in enumerate(frames):
        control = size + struct.pack(">IIHHBB", 0, 0, every_ms, 1_000, 0, 0)
        parts.append(_chunk(b"fcTL", struct.pack(">I", number) + control))
        number += 1
        for data in (data for name, data in _chunks(frame) if name == b"IDAT"):
            parts.append(_chunk(b"IDAT", data) if index == 0 else _chunk(b"fdAT", struct.pack(">I", number) + data))
            number += index > 0
    return b"".join([b"\x89PNG\r\n\x1a\n", *parts, _chunk(b"IEND", b"")])


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(png):
        [length] = struct.unpack(">I", png[place : place + 4])
        found.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
