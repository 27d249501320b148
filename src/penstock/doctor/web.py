"""What is asked over HTTP: Airflow, and the API that records come from."""

import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus

import httpx

from penstock import tls
from penstock.config import LOOPBACK, Settings
from penstock.contract import Pipeline
from penstock.doctor.clock import Now, clock, system_time
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.doctor.reach import LIMIT_S
from penstock.doctor.versions import AIRFLOW, Line
from penstock.errors import ConfigError
from penstock.source import outlook
from penstock.urls import shown

_REMEDIES: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "The API wants credentials: they belong in source.url, before its host or in its query",
    HTTPStatus.FORBIDDEN: "The API refuses this address or its credentials: ask from another network, correct "
    "source.url, or use the simulator (PENSTOCK_SOURCE_URL unset)",
    HTTPStatus.NOT_FOUND: "Is source.url the right address?",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests came from this address: wait some minutes",
}
_REDIRECT = "No redirect is followed: set source.url to where it leads"
_OTHER = "Look at what it says in a browser"


def api(settings: Settings, pipeline: Pipeline, now: Now = system_time) -> Iterator[Finding]:
    """Asks for one record."""
    answer = get(settings.source.url, {pipeline.source.size_param: "1"})
    url = shown(settings.source.url)
    if isinstance(answer, str):
        yield failed("api", f"{url}: {answer}", "Is the address right (source.url), and is there a way to it?")
        return
    yield clock(url, answer.headers.get("Date"), now)
    if answer.status_code == HTTPStatus.OK:
        yield fine("api", f"{url} answers")
    else:
        status = answer.status_code
        remedy = _REMEDIES.get(status, _REDIRECT if answer.has_redirect_location else _OTHER)
        what = f"{url} answered {status} {answer.reason_phrase}".rstrip()
        yield failed("api", f"{what}: {outlook(status, settings.source)}", remedy)


def airflow(settings: Settings, now: Now = system_time, line: Line = AIRFLOW) -> Iterator[Finding]:
    """Health of each part as Airflow tells it, its version and, where one is set, the log-in."""
    url, own = settings.airflow.url.rstrip("/"), settings.airflow
    try:
        context = tls.client_context(own.ssl_ca_location, None, verify_hostname=True)
    except ConfigError as error:
        yield failed("airflow", str(error), "Correct airflow.ssl_ca_location")
        return
    answer = get(f"{url}/api/v2/monitor/health", {}, context)
    if isinstance(answer, str) or answer.status_code != HTTPStatus.OK:
        said = answer if isinstance(answer, str) else f"answered {answer.status_code}"
        yield failed("airflow", f"{shown(url)}/api/v2/monitor/health: {said}", "Is airflow.url that of an Airflow 3?")
        return
    yield clock(shown(url), answer.headers.get("Date"), now)
    ill = {name: part["status"] for name, part in answer.json().items() if part["status"] not in ("healthy", None)}
    if ill:
        parts = ", ".join(f"{name} is {status}" for name, status in ill.items())
        yield failed(
            "airflow", parts, "Read that part's log and start it again; the local ones: penstock logs, down, up"
        )
    else:
        yield fine("airflow", f"{shown(url)} is healthy")
    yield _version(url, context, line)
    if own.username:
        yield _log_in(settings, context)


def _version(url: str, context: ssl.SSLContext, line: Line) -> Finding:
    answer = get(f"{url}/api/v2/version", {}, context)
    if isinstance(answer, str) or answer.status_code != HTTPStatus.OK:
        said = answer if isinstance(answer, str) else f"answered {answer.status_code}"
        return note("airflow version", f"{shown(url)}/api/v2/version: {said}")
    return line.judged("airflow version", str(answer.json()["version"]))


def _log_in(settings: Settings, context: ssl.SSLContext) -> Finding:
    own, url = settings.airflow, f"{settings.airflow.url.rstrip('/')}/auth/token"
    body = {"username": own.username, "password": own.password.get_secret_value()}
    try:
        answer = httpx.post(url, json=body, timeout=LIMIT_S, verify=context)
    except httpx.HTTPError as error:
        return failed(
            "airflow log-in", f"{shown(url)}: {type(error).__name__}: {error}", "Is airflow.url the right one?"
        )
    if answer.is_success:
        return fine("airflow log-in", own.username)
    refused = answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    fix = "Correct airflow.username and airflow.password" if refused else "Read the api-server's log"
    return failed("airflow log-in", f"{own.username} was answered {answer.status_code}", fix)


def get(url: str, parameters: dict[str, str], context: ssl.SSLContext | bool = True) -> httpx.Response | str:
    """The answer, or why there is none."""
    try:
        host = httpx.URL(url).host
        return httpx.get(url, params=parameters, timeout=LIMIT_S, verify=context, trust_env=host != LOOPBACK)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    except httpx.InvalidURL:  # whose text repeats what it could not read, which may be a piece of a password
        return "this is no address"
