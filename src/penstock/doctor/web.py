"""What is asked over HTTP: Airflow, and the API that records come from."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

import httpx

from penstock.airflow import Airflow
from penstock.config import Settings
from penstock.doctor.clock import Now, clock, system_time
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.doctor.reach import TIMEOUT_S
from penstock.doctor.versions import AIRFLOW, Line
from penstock.errors import ConfigError, ScheduleError, SourceError
from penstock.network import http
from penstock.pipelines.contract import Pipeline
from penstock.source import yesterday
from penstock.source.api import Api, address
from penstock.source.client import outlook
from penstock.source.secrets import Secrets
from penstock.urls import shown

_REMEDIES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "The API wants credentials: declare the source's auth, and give its secret",
    HTTPStatus.FORBIDDEN: "The API refuses this address or its credentials: ask from another network, correct "
    "the source's secret, or for the users API use the simulator (PENSTOCK_SOURCE_URL_USERS unset)",
    HTTPStatus.NOT_FOUND: "Is it the right address (the declaration's url, or source.urls)?",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests came from this address: wait some minutes",
}
_REDIRECT = "No redirect is followed: set the source's url to where it leads"
_OTHER = "Look at what it says in a browser"


def api(settings: Settings, pipeline: Pipeline, now: Now = system_time) -> Iterator[Finding]:
    """Asks what the first request of a run asks, of yesterday, and reads no more than the answer's head."""
    url = shown(address(pipeline.name, pipeline.source, settings.source))
    if (auth := pipeline.source.auth) and Secrets.of(settings.source).is_elsewhere(auth.secret):
        yield note("api", f"{url} was not asked: only Airflow's tasks can read the secret {auth.secret}")
        return
    answer = _look(settings, pipeline)
    if isinstance(answer, str):
        yield failed("api", f"{url}: {answer}", "Is the address right (source.urls), and is there a way to it?")
        return
    yield clock(url, answer.headers.get("Date"), now)
    is_empty = answer.status_code == HTTPStatus.NO_CONTENT and pipeline.source.most_records is None
    if answer.status_code == HTTPStatus.OK or is_empty:
        yield fine("api", f"{url} answers" + (" that it has nothing for yesterday" if is_empty else ""))
    else:
        status = answer.status_code
        remedy = _REMEDIES.get(status, _REDIRECT if answer.has_redirect_location else _OTHER)
        what = f"{url} answered {status} {answer.reason_phrase}".rstrip()
        yield failed("api", f"{what}: {outlook(status, settings.source)}", remedy)


def _look(settings: Settings, pipeline: Pipeline) -> httpx.Response | str:
    def look() -> httpx.Response:
        waits = {"connect_timeout_s": TIMEOUT_S, "read_timeout_s": TIMEOUT_S}
        hurried = settings.source.model_copy(update=waits)
        source, over_http = pipeline.source, http.transport(settings.own_hosts())
        where = address(pipeline.name, source, settings.source)
        with Api(source, hurried, address=where, transport=over_http) as asked:
            return asked.look(yesterday(datetime.now(UTC)))

    return _answer(look)


def airflow(settings: Settings, now: Now = system_time, line: Line = AIRFLOW) -> Iterator[Finding]:
    """Health of each part of Airflow, its version, and the credentials where some are set; asked by a run's client."""
    try:
        with Airflow(settings, patience_s=TIMEOUT_S, timeout_s=TIMEOUT_S) as client:
            yield from _health(client, settings.airflow.url, now)
            yield _version(client, line)
            if settings.airflow.username:
                yield _credentials(client, settings.airflow.username)
    except ConfigError as error:
        fix = "Name the file of its authority in airflow.ssl_ca_location, or put it into the system's store"
        yield failed("airflow", str(error), fix)
    except ScheduleError as error:
        yield failed("airflow", str(error), "Is airflow.url that of an Airflow 3?")


def _health(client: Airflow, url: str, now: Now) -> Iterator[Finding]:
    health = client.health()
    yield clock(shown(url), health.date, now)
    if health.unhealthy:
        parts = ", ".join(f"{name} is {status}" for name, status in health.unhealthy.items())
        yield failed(
            "airflow", parts, "Read that part's log and start it again; the local ones: penstock logs, down, up"
        )
    else:
        yield fine("airflow", f"{shown(url)} is healthy")


def _version(client: Airflow, line: Line) -> Finding:
    try:
        return line.judged("airflow version", client.version())
    except ScheduleError as error:
        return note("airflow version", str(error))


def _credentials(client: Airflow, username: str) -> Finding:
    try:
        client.authenticate()
    except ScheduleError as error:
        return failed("airflow credentials", str(error), "Correct airflow.password")
    return fine("airflow credentials", username)


def get(settings: Settings, url: str, parameters: Mapping[str, str]) -> httpx.Response | str:
    """The answer, or why there is none."""

    def ask() -> httpx.Response:
        with httpx.Client(transport=http.transport(settings.own_hosts()), timeout=TIMEOUT_S) as client:
            return client.get(url, params=parameters)

    return _answer(ask)


def _answer(ask: Callable[[], httpx.Response]) -> httpx.Response | str:
    try:
        return ask()
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}. {http.untrusted(error)}".rstrip(". ")
    except httpx.InvalidURL:  # whose text repeats what it could not read, which may be a piece of a password
        return "this is no address"
    except (ConfigError, SourceError) as error:
        return str(error)
