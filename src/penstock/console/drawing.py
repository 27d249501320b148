"""The drawing of a pipeline: boxes, and the pipes between them, laid out for wide screens and for narrow ones.

Only what is drawn; the template draws it. Water moves in a pipe when records do, the quicker the more of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log10

from penstock.audit.overview import PartitionPart, PipelinePart, Server, Standing, called, lasting
from penstock.console.history import Rate
from penstock.console.probe import Latency

_LETTER = 6.7
"""Width of a character of a line, on average."""
_FULL = 6
"""Power of ten of the messages that fill a partition's column."""
_COLUMNS = 32
"""Partitions that are drawn by themselves; more share a column."""


@dataclass(frozen=True)
class Line:
    """Text in a box; `whole` is what it stands for where it had to be cut."""

    text: str
    y: int
    whole: str = ""


@dataclass(frozen=True)
class Column:
    """One partition, or several: how full it is."""

    x: float
    y: float
    width: float
    height: float
    fill_y: float
    fill_height: float
    title: str
    label: str
    tone: str


@dataclass(frozen=True)
class Box:
    """One part. `tone` is `good`, `bad`, `wait` or `off`."""

    name: str
    title: str
    x: int
    y: int
    width: int
    height: int
    tone: str
    state: str
    lines: tuple[Line, ...]
    href: str = ""
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Pipe:
    """Between two boxes. `speed` is 0 where nothing moves, else 1 to 3; `label` is what flows."""

    name: str
    path: str
    speed: int
    label: str
    x: int
    y: int
    kind: str = "water"


@dataclass(frozen=True)
class Drawing:
    """All of it."""

    layout: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    pipes: tuple[Pipe, ...]


@dataclass(frozen=True)
class _Place:
    x: int
    y: int
    width: int
    height: int


_WIDE = {
    "api": _Place(10, 48, 148, 104),
    "airflow": _Place(244, 48, 168, 104),
    "kafka": _Place(498, 30, 210, 140),
    "stream": _Place(794, 48, 156, 104),
    "cassandra": _Place(1036, 48, 170, 104),
    "letters": _Place(470, 204, 272, 82),
}
_WIDE_PIPES = {
    "fetch": ("M158 100H244", 201, 88),
    "publish": ("M412 100H498", 455, 88),
    "read": ("M708 100H794", 751, 88),
    "store": ("M950 100H1036", 993, 88),
    "reject": ("M872 152C872 222 830 244 742 244", 850, 232),
    "reject-early": ("M328 152C328 222 380 244 470 244", 350, 232),
}
_NARROW = {
    "api": _Place(10, 8, 300, 84),
    "airflow": _Place(10, 132, 300, 104),
    "kafka": _Place(10, 276, 300, 150),
    "stream": _Place(10, 466, 300, 104),
    "cassandra": _Place(10, 610, 300, 104),
    "letters": _Place(10, 754, 300, 84),
}
_NARROW_PIPES = {
    "fetch": ("M160 92V132", 180, 117),
    "publish": ("M160 236V276", 180, 261),
    "read": ("M160 426V466", 180, 451),
    "store": ("M160 570V610", 180, 595),
    "reject": ("M310 518C346 518 346 790 310 790", 318, 736),
    "reject-early": ("M310 184C352 184 352 806 310 806", 318, 752),
}
_LAYOUTS = {"wide": (1216, 296, _WIDE, _WIDE_PIPES), "narrow": (360, 846, _NARROW, _NARROW_PIPES)}


def drawings(
    part: PipelinePart, rate: Rate | None, at: datetime, latency: Latency | None = None
) -> tuple[Drawing, Drawing]:
    """The drawing of a pipeline, laid out for wide and for narrow screens."""
    return _drawn("wide", part, rate, at, latency), _drawn("narrow", part, rate, at, latency)


def _drawn(layout: str, part: PipelinePart, rate: Rate | None, at: datetime, latency: Latency | None) -> Drawing:
    width, height, places, ways = _LAYOUTS[layout]
    boxes = tuple(
        _box(name, places[name], part, at, latency)
        for name in ("api", "airflow", "kafka", "stream", "cassandra", "letters")
    )
    return Drawing(layout, width, height, boxes, _pipes(ways, rate))


def _box(name: str, place: _Place, part: PipelinePart, at: datetime, latency: Latency | None) -> Box:
    title, tone, state, texts, href = {
        "api": _api,
        "airflow": _airflow,
        "kafka": _kafka,
        "stream": _stream,
        "cassandra": _cassandra,
        "letters": _letters,
    }[name](part, at)
    most = int((place.width - 26) / _LETTER)
    if name == "cassandra" and latency:
        texts = (*texts[:2], f"p50 {_short(latency.p50_s)}, p99 {_short(latency.p99_s)}", *texts[2:])
    lines = tuple(
        Line(_cut(text, most), place.y + 46 + 20 * number, whole=text)
        for number, text in enumerate(filter(None, texts))
        if 46 + 20 * number < place.height - 2
    )
    columns = _columns(part.kafka.partitions, place, at) if name == "kafka" else ()
    return Box(name, title, place.x, place.y, place.width, place.height, tone, state, lines, href, columns)


_Told = tuple[str, str, str, Sequence[str], str]


def _api(part: PipelinePart, at: datetime) -> _Told:
    fetched = f"fetched {lasting(at - part.source.fetched_at)} ago" if part.source.fetched_at else "not fetched yet"
    host = part.source.url.partition("://")[2].partition("?")[0]
    return f"{part.name} API", "good" if part.source.fetched_at else "off", fetched, (fetched, host), ""


def _airflow(part: PipelinePart, at: datetime) -> _Told:
    airflow, newest = part.airflow, part.airflow.newest
    tone, state = _standing(airflow, at)
    if airflow.unhealthy:
        tone, state = "bad", f"ill: {', '.join(airflow.unhealthy)}"
    last = f"{called(newest.run).removeprefix('run of ')}: {newest.state}" if newest else "no run yet"
    if newest and newest.state == "failed":
        tone = "bad"
    ahead = airflow.next_run_at
    due = f"next in {lasting(ahead - at)}" if ahead and ahead > at else "next is due"
    plan = "paused" if airflow.paused else due if ahead else ""
    return "Airflow", tone, state, (state if tone == "bad" and not newest else last, plan), ""


def _kafka(part: PipelinePart, at: datetime) -> _Told:
    kafka = part.kafka
    tone, state = _standing(kafka, at)
    if not kafka.answers:
        return "Kafka", tone, state, (state,), ""
    waiting = "unknown what waits" if kafka.waiting is None else f"{kafka.waiting:,} wait"
    oldest = f", oldest {lasting(at - kafka.oldest_at)}" if kafka.oldest_at else ""
    still = any(each.stands_still(at) for each in kafka.partitions)
    return "Kafka", "wait" if still else tone, state, (waiting + oldest,), ""


def _stream(part: PipelinePart, at: datetime) -> _Told:
    stream = part.stream
    tone, state = _standing(stream, at)
    batch = "" if stream.batch is None else f"batch {stream.batch:,}"
    ago = f"{lasting(at - stream.batch_at)} ago" if stream.batch_at else ""
    took = f"took {stream.batch_s:.1f} s" if stream.batch_s is not None else ""
    return "Spark", tone, state, ("" if tone == "good" else state, batch, ago, took), "/services/stream"


def _cassandra(part: PipelinePart, at: datetime) -> _Told:
    tone, state = _standing(part.cassandra, at)
    stored = "" if part.cassandra.stored is None else f"{part.cassandra.stored:,} stored"
    return "Cassandra", tone, state, ("" if tone == "good" else state, stored, part.cassandra.table), ""


def _letters(part: PipelinePart, _: datetime) -> _Told:
    letters = part.letters
    open_ones = sum(letters.by_reason.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in letters.by_reason.items())
    state = f"{open_ones:,} open" if open_ones else "none open"
    tone = "bad" if open_ones else "off"
    return "Dead letters", tone, state, (state, reasons), f"/p/{part.name}/letters"


def _standing(server: Server, at: datetime) -> tuple[str, str]:
    """Tone and words."""
    if server.answers:
        return "good", "answers"
    if server.standing is Standing.UNKNOWN:
        return "off", "not seen from here"
    if server.standing is Standing.ABSENT:
        return "off", "not started"
    if server.phase in ("starting", "restarting", "stopping"):
        return "wait", server.phase
    return "bad", f"silent for {lasting(at - server.since)}" if server.since else "silent"


def _columns(partitions: Sequence[PartitionPart], place: _Place, at: datetime) -> tuple[Column, ...]:
    groups = _grouped(partitions)
    if not groups:
        return ()
    left, top, height = place.x + 18, place.y + 58, place.height - 84
    step = min(44.0, (place.width - 36) / len(groups))
    width = max(2.0, step - max(2.0, step / 5))
    found = []
    for number, group in enumerate(groups):
        waiting = sum(part.waiting or 0 for part in group)
        share = min(1.0, log10(1 + waiting) / _FULL)
        names = f"{group[0].number}" if len(group) == 1 else f"{group[0].number}–{group[-1].number}"
        found.append(
            Column(
                x=round(left + number * step, 1),
                y=top,
                width=round(width, 1),
                height=height,
                fill_y=round(top + height * (1 - share), 1),
                fill_height=round(height * share, 1),
                title=f"partition {names}: {waiting:,} wait",
                label=names if len(groups) <= 12 else "",
                tone="bad" if any(part.stands_still(at) for part in group) else "",
            )
        )
    return tuple(found)


def _grouped(partitions: Sequence[PartitionPart]) -> list[Sequence[PartitionPart]]:
    size = -(-len(partitions) // _COLUMNS) or 1
    return [partitions[first : first + size] for first in range(0, len(partitions), size)]


def _pipes(ways: dict[str, tuple[str, int, int]], rate: Rate | None) -> tuple[Pipe, ...]:
    published, passed, rejected = rate or Rate(None, None, None)
    flows = {"fetch": published, "publish": published, "read": passed, "store": passed, "reject": rejected}
    found = []
    for name, (path, x, y) in ways.items():
        flow = flows.get(name) or 0.0
        kind = "drain" if name.startswith("reject") else "water"
        found.append(Pipe(name, path, speed(flow), _per_second(flow) if name != "reject-early" else "", x, y, kind))
    return tuple(found)


def speed(per_s: float) -> int:
    """How quick the water is: 1 below 100 a second, 3 from 1,000 on, 0 where nothing flows."""
    return 0 if per_s <= 0 else 1 if per_s < 100 else 2 if per_s < 1_000 else 3


def _short(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _per_second(per_s: float) -> str:
    if per_s <= 0:
        return ""
    return f"{per_s:,.0f} /s" if per_s >= 10 else f"{per_s:.1f} /s"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
