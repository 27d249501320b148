"""Earthquakes of the USGS catalogue, day by day: https://earthquake.usgs.gov/fdsnws/event/1/."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from penstock import (
    Desc,
    EpochMillis,
    From,
    Int32,
    Is,
    Key,
    Offset,
    PerSecond,
    Pipeline,
    Record,
    Schedule,
    Source,
    Text,
)


class Earthquake(Record):
    """One event of the catalogue, as it was last revised."""

    net: Annotated[Text, From("properties.net"), Field(description="network that is responsible for it")]
    day: Annotated[date, From("properties.time", form=EpochMillis()), Field(description="of its time, in UTC")]
    time: Annotated[datetime, From("properties.time", form=EpochMillis()), Field(description="when it happened")]
    id: Annotated[Text, From("id"), Field(description="the catalogue's own id")]
    updated: Annotated[datetime, From("properties.updated", form=EpochMillis()), Field(description="last revision")]
    magnitude: Annotated[Decimal | None, From("properties.mag"), Field(description="may be below zero")] = None
    magnitude_type: Annotated[str | None, From("properties.magType"), Field(description="how it was found")] = None
    place: Annotated[str | None, From("properties.place"), Field(description="in words")] = None
    longitude: Annotated[float, From("geometry.coordinates.0"), Field(description="degrees east")]
    latitude: Annotated[float, From("geometry.coordinates.1"), Field(description="degrees north")]
    depth_km: Annotated[float | None, From("geometry.coordinates.2"), Field(description="below the surface")] = None
    status: Annotated[str, From("properties.status"), Field(description="automatic, reviewed or deleted")]
    gone: Annotated[bool, From("properties.status", form=Is("deleted")), Field(description="it was no event after all")]
    felt: Annotated[Int32 | None, From("properties.felt"), Field(description="people who reported it")] = None
    alert: Annotated[str | None, From("properties.alert"), Field(description="green, yellow, orange or red")] = None
    tsunami: Annotated[Int32, From("properties.tsunami"), Field(description="1 where there may be one")]
    significance: Annotated[Int32 | None, From("properties.sig"), Field(description="0 to about 1,000")] = None
    url: Annotated[str | None, From("properties.url"), Field(description="page for people")] = None


EARTHQUAKES = Pipeline(
    name="earthquakes",
    version=1,
    record=Earthquake,
    # A partition is a day of a network, its newest events first. The id tells apart two of the same millisecond.
    key=Key(partition=("net", "day"), clustering=(Desc("time"), "id")),
    source=Source(
        url="https://earthquake.usgs.gov/fdsnws/event/1/query",
        items="features",
        params={
            "format": "geojson",
            "eventtype": "earthquake",
            # Without it an event that is deleted would be left out, and its row would stay.
            "includedeleted": "true",
            # Both ends are part of what is asked for. An event of midnight comes with two days, and is one row.
            "starttime": "{start:%Y-%m-%dT%H:%M:%S}",
            "endtime": "{end:%Y-%m-%dT%H:%M:%S}",
            # Oldest first: an event that is added while the list is read moves as few others as possible.
            "orderby": "time-asc",
        },
        # The catalogue counts from 1 and gives at most 20,000 at once; smaller pages keep an attempt cheap.
        paging=Offset(offset=1, limit=1_000),
        rate=PerSecond(2),
    ),
    topic="earthquakes",
    keyspace="spark_streams",
    table="earthquakes",
    app_name="Earthquakes",
    deleted="gone",
    schedule=Schedule(
        dag_id="earthquakes",
        start=datetime(2026, 11, 1, tzinfo=UTC),
        every="@daily",
        catchup=True,
        max_active_runs=2,
        # Most events are in the catalogue within minutes, the last ones of a day not before its end.
        lag=timedelta(hours=2),
    ),
)
