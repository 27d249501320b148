"""Fills the templates with a moment. Parts of pages that change are filled once, however many pages show them."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from penstock.audit.overview import PipelinePart, called, lasting
from penstock.config import Settings
from penstock.console.charts import HEIGHT, WIDTH, charts
from penstock.console.drawing import drawings
from penstock.console.history import LONG, SHORT, History
from penstock.console.sampler import Moment
from penstock.views.console import cut, plain

_PARTS = ("say", "flow", "runs", "charts", "charts-day")
"""Of each pipeline; a part's name is `part-pipeline`."""
_SHARED = ("head", "services", "refused")


class Shown:
    """The templates; keeps what it made of the latest moment."""

    def __init__(self, settings: Settings, history: History) -> None:
        self._history = history
        self._made: dict[str, str] = {}
        self._made_of = 0
        environment = Environment(
            loader=PackageLoader("penstock.console"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters |= {
            "ago": lambda at, now: lasting(now - at),
            "called": called,
            "clock": _clock,
            "coded": _coded,
            "number": lambda value: "" if value is None else f"{value:,}",
            "mebibytes": lambda size: "" if size is None else f"{size / 2**20:,.0f} MiB",
            "plain": lambda text: plain(str(text)),
            "short": lambda text: plain(cut(str(text))),
            "in_url": lambda text: quote(str(text), safe=""),
        }
        environment.globals |= {
            "read_only": settings.console.read_only,
            "show_values": settings.console.show_values,
            "chart_width": WIDTH,
            "chart_height": HEIGHT,
        }
        self._environment = environment

    def page(self, template: str, moment: Moment, **values: Any) -> str:
        """A whole page."""
        names = [part.name for part in moment.overview.pipelines]
        return self._filled(template, moment, pipelines=names, part=lambda name: self._part(moment, name), **values)

    def parts(self, moment: Moment, wanted: Iterable[str]) -> dict[str, str]:
        """Name -> HTML of those of the wanted parts that there are."""
        names = [part.name for part in moment.overview.pipelines]
        known = {*_SHARED, *(f"{part}-{name}" for part in _PARTS for name in names)}
        return {name: self._part(moment, name) for name in wanted if name in known}

    def _part(self, moment: Moment, name: str) -> str:
        if self._made_of != moment.number:
            self._made.clear()
            self._made_of = moment.number
        if name not in self._made:
            self._made[name] = self._made_anew(moment, name)
        return self._made[name]

    def _made_anew(self, moment: Moment, name: str) -> str:
        if name in _SHARED:
            return self._filled(f"parts/{name}.html", moment)
        kind = next(part for part in sorted(_PARTS, key=len, reverse=True) if name.startswith(f"{part}-"))
        pipeline = name.removeprefix(f"{kind}-")
        part = next((each for each in moment.overview.pipelines if each.name == pipeline), None)
        if part is None:  # it was removed while its page was made
            return ""
        return self._filled(f"parts/{kind}.html", moment, pipeline=part, **self._more(kind, part, moment))

    def _more(self, kind: str, part: PipelinePart, moment: Moment) -> Mapping[str, Any]:
        pipeline = part.name
        at_s = moment.overview.at.timestamp()
        if kind == "flow":
            return {
                "drawings": drawings(
                    part, moment.rates.get(pipeline), moment.overview.at, moment.latencies.get(pipeline)
                )
            }
        if kind.startswith("charts"):
            span = LONG if kind == "charts-day" else SHORT
            # On the grid of the points, so that a chart changes only when there is a new one.
            at_s = at_s // span.step_s * span.step_s
            return {"charts": charts(self._history.points(pipeline, span, at_s), span, at_s), "span": span}
        return {}

    def _filled(self, template: str, moment: Moment, **values: Any) -> str:
        overview = moment.overview
        return self._environment.get_template(template).render(overview=overview, at=overview.at, **values)


def _coded(text: str) -> Markup:
    """What stands between backticks as code."""
    parts = [escape(plain(part)) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _clock(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
