"""The USGS earthquake catalogue without the network: its GeoJSON, parameters and refusals, with invented events.

    python examples/earthquakes/simulator.py --port 8101

The same seed has the same events, on every machine. What is known of them depends on the date that the catalogue is of:
an event is there some minutes after it happened, is revised hours or days later, and may turn out to be none. So two
questions for the same interval get the same answer, and one of a later date gets the revisions.

Held against https://earthquake.usgs.gov/fdsnws/event/1/ (API 1.14.1). Left out: other formats than GeoJSON, places,
and revisions that move an event in time.
"""

import argparse
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from random import Random
from typing import Any

from penstock.simulator import Asked, Reply, serve
from penstock.simulator.faults import whole

PATH = "/fdsnws/event/1/query"
MOST = 20_000
"""Events that the catalogue gives in one answer."""
_ENDPOINTS = "https://earthquake.usgs.gov"
_PARAMETERS = frozenset(
    {"format", "starttime", "endtime", "updatedafter", "minmagnitude", "eventtype", "includedeleted"}
    | {"limit", "offset", "orderby"}
)
# Network, place, longitude, latitude, km around it, how magnitudes are found there.
_REGIONS = (
    ("ci", "km SSW of Idyllwild, CA", -116.72, 33.74, 60, "ml"),
    ("nc", "km NW of The Geysers, CA", -122.78, 38.81, 40, "md"),
    ("ak", "km W of Anchor Point, Alaska", -151.83, 59.78, 300, "ml"),
    ("hv", "km SW of Pāhala, Hawaii", -155.48, 19.20, 30, "md"),
    ("us", "km E of Ōfunato, Japan", 141.72, 39.08, 200, "mb"),
    ("us", "km NNW of Filiatrá, Greece", 21.58, 37.16, 150, "mww"),
    ("us", "km SE of San José de Ocoa, Dominican Republic", -70.50, 18.54, 90, "mb"),
)


class RefusedError(Exception):
    """A question that the catalogue answers with 400; the text says why."""


@dataclass(frozen=True)
class Event:
    """One event with all that will ever be known of it."""

    time_ms: int
    feature: Mapping[str, Any]
    """As it was first given."""
    revisions: tuple[tuple[int, Mapping[str, Any]], ...]
    """When, in milliseconds since 1970, and which properties changed."""

    def as_of(self, moment_ms: int) -> dict[str, Any] | None:
        """What the catalogue gives at this moment; None while it does not know the event."""
        known = [(at, changes) for at, changes in self.revisions if at <= moment_ms]
        if not known:
            return None
        properties = dict(self.feature["properties"])
        for at, changes in known:
            properties |= {**changes, "updated": at}
        properties["title"] = f"M {properties['mag'] or 0:.1f} - {properties['place'] or 'unknown'}"
        return {**self.feature, "properties": properties}


class Catalogue:
    """Answers questions to the catalogue as of a moment; None means that of the question."""

    def __init__(self, seed: int = 0, as_of: datetime | None = None, most: int = MOST) -> None:
        self.as_of = as_of
        self._seed = seed
        self._most = most

    def __call__(self, asked: Asked) -> Reply:
        if asked.path != PATH:
            return _text(HTTPStatus.NOT_FOUND, "Error 404: Not Found")
        try:
            return _json(self.answer(asked.query, asked.target))
        except RefusedError as error:
            usage = f"Usage details are available from {_ENDPOINTS}/fdsnws/event/1"
            return _text(HTTPStatus.BAD_REQUEST, f"Error 400: Bad Request\n\n{error}\n\n{usage}\n")

    def answer(self, query: Mapping[str, str], target: str = PATH) -> dict[str, Any]:
        """The GeoJSON.

        Raises:
            RefusedError: the catalogue does not answer that.
        """
        _check(query)
        now = self.as_of or datetime.now(UTC)
        found = [one for one in self._found(query, now) if _is_asked_for(query, one)]
        found = found if query.get("orderby") == "time-asc" else found[::-1]
        paged = {}
        if "limit" in query or "offset" in query:
            limit, offset = _whole(query, "limit", self._most, 1, self._most), _whole(query, "offset", 1, 1, 10**9)
            found = found[offset - 1 : offset - 1 + limit]
            paged = {"limit": limit, "offset": offset}
        elif len(found) > self._most:
            raise RefusedError(f"{len(found)} matching events exceeds search limit of {self._most}. Modify the search.")
        metadata = {
            "generated": _ms(now) // 1_000 * 1_000,
            "url": _ENDPOINTS + target,
            "title": "USGS Earthquakes",
            "status": HTTPStatus.OK.value,
            "api": "1.14.1",
            **paged,
            "count": len(found),
        }
        return {"type": "FeatureCollection", "metadata": metadata, "features": found, **_box(found)}

    def events(self, day: date) -> Iterator[Event]:
        """All events of a day in UTC, the oldest first."""
        chance = Random(f"{self._seed}/{day}").random  # noqa: S311 - invented events, no secret
        count = int(15 + 30 * chance())
        yield from sorted((_event(chance, day, number) for number in range(count)), key=lambda one: one.time_ms)

    def _found(self, query: Mapping[str, str], now: datetime) -> Iterator[dict[str, Any]]:
        start = _moment(query, "starttime", now - timedelta(days=30))
        end = min(now, _moment(query, "endtime", now))
        for number in range((end.date() - start.date()).days + 1):
            for event in self.events(start.date() + timedelta(days=number)):
                known = event.as_of(_ms(now)) if _ms(start) <= event.time_ms <= _ms(end) else None
                if known:
                    yield known


def _event(chance: Callable[[], float], day: date, number: int) -> Event:
    net, place, longitude, latitude, around_km, magnitude_type = _REGIONS[int(chance() * len(_REGIONS))]
    time_ms = _ms(datetime(day.year, day.month, day.day, tzinfo=UTC)) + int(chance() * 86_400_000)
    code = f"{day:%Y%m%d}{number:03}"
    # The catalogue's magnitudes are sums of doubles: 0.33000000000000002 and the like.
    magnitude = None if chance() < 0.02 else round(-0.5 + 2.2 * -_log2(chance()) / 2, 2)
    longitude, latitude = (round(middle + (chance() - 0.5) * around_km / 55, 4) for middle in (longitude, latitude))
    properties = {
        "mag": magnitude,
        "place": None if chance() < 0.01 else f"{1 + int(chance() * around_km)} {place}",
        "time": time_ms,
        "updated": time_ms,
        "tz": None,
        "url": f"{_ENDPOINTS}/earthquakes/eventpage/{net}{code}",
        "detail": f"{_ENDPOINTS}{PATH}?eventid={net}{code}&format=geojson",
        "felt": None,
        "cdi": None,
        "mmi": None,
        "alert": None,
        "status": "automatic",
        "tsunami": 0,
        "sig": int((magnitude or 0) ** 2 * 15.4),
        "net": net,
        "code": code,
        "ids": f",{net}{code},",
        "sources": f",{net},",
        "types": ",origin,phase-data,",
        "nst": None if chance() < 0.3 else 4 + int(chance() * 90),
        "dmin": None if chance() < 0.3 else round(chance() * 3, 5),
        "rms": round(chance(), 2),
        "gap": None if chance() < 0.3 else 20 + int(chance() * 250),
        "magType": magnitude_type,
        "type": "quarry blast" if chance() < 0.04 else "earthquake",
        "title": "",
    }
    depth = 10 if chance() < 0.2 else round(chance() * 60, 3)
    feature = {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Point", "coordinates": [longitude, latitude, depth]},
        "id": f"{net}{code}",
    }
    return Event(time_ms, feature, tuple(_revisions(chance, time_ms, magnitude)))


def _revisions(
    chance: Callable[[], float], time_ms: int, magnitude: float | None
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """It is there within half an hour; most are reviewed within three days, some are felt, a few were none."""
    at = time_ms + 120_000 + int(chance() * 1_680_000)
    yield at, {}
    fate, corrected = chance(), None if magnitude is None else round(magnitude + (chance() - 0.5) / 2, 2)
    at += 3_600_000 + int(chance() * 3 * 86_400_000)
    if fate < 0.03:
        yield at, {"status": "deleted"}
    elif fate < 0.7:
        yield at, {"status": "reviewed", "mag": corrected, "sig": int((corrected or 0) ** 2 * 15.4)}
        if fate < 0.2:
            felt = {"felt": 1 + int(chance() * 200), "cdi": 3.1, "mmi": 2.75, "alert": "green"}
            yield at + 1 + int(chance() * 10 * 86_400_000), felt


def _is_asked_for(query: Mapping[str, str], feature: Mapping[str, Any]) -> bool:
    properties = feature["properties"]
    least = _number(query, "minmagnitude")
    after = _ms(_moment(query, "updatedafter", datetime.min.replace(tzinfo=UTC)))
    return (
        query.get("eventtype", properties["type"]) == properties["type"]
        and (properties["status"] != "deleted" or query.get("includedeleted") == "true")
        and (least is None or (properties["mag"] is not None and properties["mag"] >= least))
        and properties["updated"] > after
    )


def _check(query: Mapping[str, str]) -> None:
    """Refuses parameters that are not known, and what the simulator leaves out."""
    unknown = sorted(query.keys() - _PARAMETERS)
    if unknown:
        raise RefusedError(f'Unknown parameter "{unknown[0]}".')
    if query.get("format") != "geojson":
        raise RefusedError("this simulator answers with format=geojson only")
    if query.get("orderby", "time") not in ("time", "time-asc"):
        raise RefusedError(f'bad orderby value "{query["orderby"]}". This simulator knows time and time-asc')


def _whole(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise RefusedError(f'bad {name} value "{text}". Valid values are from {least} to {most}')
    return int(text)


def _number(query: Mapping[str, str], name: str) -> float | None:
    try:
        return float(query[name]) if name in query else None
    except ValueError:
        raise RefusedError(f'bad {name} value "{query[name]}"') from None


def _moment(query: Mapping[str, str], name: str, default: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(query[name]) if name in query else default
    except ValueError:
        raise RefusedError(f'bad {name} value "{query[name]}". Valid values are ISO-8601 timestamps.') from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _box(found: list[dict[str, Any]]) -> dict[str, list[float]]:
    places = list(zip(*(one["geometry"]["coordinates"] for one in found), strict=True))
    return {"bbox": [*map(min, places), *map(max, places)]} if places else {}


def _log2(share: float) -> float:
    """Rough, and the same on every machine: libraries differ in the last digit of a logarithm."""
    value, power = max(share, 2**-7), 0
    while value < 0.5:
        value, power = value * 2, power - 1
    return power + 2 * (value - 1)


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _json(value: Any) -> Reply:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return whole(HTTPStatus.OK, body, {"Content-Type": "application/json; charset=utf-8"})


def _text(status: int, text: str) -> Reply:
    return whole(status, text.encode(), {"Content-Type": "text/plain"})


def main() -> None:
    """Serves until Ctrl-C."""
    options = argparse.ArgumentParser(description="The USGS earthquake catalogue, simulated on this machine.")
    options.add_argument("--port", type=int, default=8101)
    options.add_argument("--seed", type=int, default=0, help="other events")
    options.add_argument(
        "--as-of", type=datetime.fromisoformat, help="the catalogue of that date in UTC; now by default"
    )
    given = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    as_of = given.as_of.replace(tzinfo=given.as_of.tzinfo or UTC) if given.as_of else None
    serve(given.port, api=Catalogue(given.seed, as_of))


if __name__ == "__main__":
    main()
