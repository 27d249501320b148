"""Airflow over its REST API: runs are triggered and watched through it, never behind its back.

Written against Airflow 3.3 (`airflow/api_fastapi/core_api` in the installed package, API version v2).
"""

import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import quote

import httpx
from pydantic import SecretStr
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_result,
    stop_after_delay,
    wait_exponential,
)

from penstock.config import Settings
from penstock.errors import ConfigError, ScheduleError
from penstock.network import http
from penstock.urls import shown
from penstock.waiting import until

log = logging.getLogger(__name__)

_FINISHED = frozenset({"success", "failed"})
_LONGEST_PAUSE_S = 0.5
_LOG_LINES = 30
_NOBODY_ANSWERS = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)


@dataclass(frozen=True)
class TaskState:
    """One task of a run; `state` is Airflow's word, empty before it is scheduled. `tries` counts from 1."""

    name: str
    state: str
    tries: int


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG as Airflow sees it."""

    dag_id: str
    run_id: str
    state: str
    """`queued`, `running`, `success` or `failed`."""
    tasks: tuple[TaskState, ...] = ()

    def __str__(self) -> str:
        tasks = ", ".join(f"{task.name} {task.state or 'waits'}" for task in self.tasks)
        return f"{self.dag_id} {self.state}" + (f" ({tasks})" if tasks else "")


@dataclass(frozen=True)
class RunTimes:
    """One run of a DAG, and when it ran; times are aware, None where it has none (yet)."""

    run_id: str
    state: str
    logical_date: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Timetable:
    """The newest run of a DAG, and the time of its next one."""

    is_paused: bool
    next_run_at: datetime | None
    """None where none is planned."""
    newest: RunTimes | None


@dataclass(frozen=True)
class Health:
    """Airflow's own report: the state of each part, and its clock (the header `Date`, where there is one)."""

    parts: Mapping[str, str | None]
    date: str | None

    @property
    def unhealthy(self) -> Mapping[str, str]:
        """Parts that a run needs and that are not well, with their state. No DAG of ours defers, so a triggerer is not
        among them: Airflow calls one unhealthy that ran once and was switched off.
        """
        return {
            name: status
            for name, status in self.parts.items()
            if status not in ("healthy", None) and name != "triggerer"
        }


class Airflow:
    """The Airflow of the settings, for the user of the settings. One that restarts is waited for, up to `patience_s`.

    Every method raises `ScheduleError` when Airflow refuses, or does not answer for that long, and `ConfigError` when
    its certificate is not trusted.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        patience_s: float = 60,
        timeout_s: float = 30,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        own = settings.airflow
        url = own.url.rstrip("/")
        self._url = shown(url)
        self._username = own.username
        self._authority_setting = "airflow.ssl_ca_location" if own.ssl_ca_location else ""
        self._patience_s = patience_s
        self._token = _Token(f"{url}/auth/token", own.username, own.password)
        self._client = httpx.Client(
            base_url=f"{url}/api/v2/",
            auth=self._token,
            timeout=timeout_s,
            transport=transport or http.transport(settings.own_hosts(), own.ssl_ca_location),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def health(self) -> Health:
        """Asked without credentials."""
        response = self._ask("GET", "monitor/health", auth=None)
        answer = self._checked(response)
        try:
            parts = {name: part["status"] for name, part in answer.items()}
        except (AttributeError, KeyError, TypeError) as error:
            raise ScheduleError(
                f"{shown(str(response.request.url))} answered what no Airflow answers: {answer!r:.200}"
            ) from error
        return Health(parts, response.headers.get("Date"))

    def version(self) -> str:
        """Asked without credentials."""
        return str(self._send("GET", "version", auth=None)["version"])

    def authenticate(self) -> None:
        """Returns when Airflow accepts the credentials; every other method authenticates by itself."""
        self._checked(self._ask("POST", self._token.url, json=self._token.body(), auth=None))

    def wait_until_parsed(self, dag_id: str, timeout_s: float) -> None:
        """Returns when Airflow knows the DAG; raises its traceback at once when the DAG's file cannot be parsed."""

        def give_up(_: RetryCallState) -> NoReturn:
            text = self._import_errors() or "No file failed to parse; is the dag-processor running (`penstock status`)?"
            raise ScheduleError(f"{self._url} does not know DAG {dag_id} after {timeout_s:.0f} s. {text}")

        until(bool, timeout_s, give_up, longest_pause_s=_LONGEST_PAUSE_S)(self._is_parsed, dag_id)

    def unpause(self, dag_id: str) -> None:
        """Lets the scheduler start runs of the DAG."""
        self._send("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, logical_date: datetime | None = None, conf: dict[str, Any] | None = None) -> str:
        """Asks for a run and returns its id. `logical_date` is aware; without one the run has none.

        Airflow knows one run a logical date. Asking for a date again runs that interval again: a finished run is
        cleared and starts anew under the same id, one that is not finished is only named.

        Raises:
            ScheduleError: also when the date has a run with another `conf`.
        """
        date = None if logical_date is None else logical_date.astimezone(UTC).isoformat()
        # Named here, so that a request that is sent again because its answer was lost makes no second run.
        run_id = f"manual__{date or datetime.now(UTC).isoformat()}"
        body = {"dag_run_id": run_id, "logical_date": date, "conf": conf or {}}
        response = self._ask("POST", f"dags/{dag_id}/dagRuns", json=body)
        if response.status_code != HTTPStatus.CONFLICT:
            return str(self._checked(response)["dag_run_id"])
        return run_id if date is None else self._run_again(dag_id, date, conf or {})

    def state(self, dag_id: str, run_id: str) -> DagRun:
        """The run and its tasks at this moment."""
        run = f"dags/{dag_id}/dagRuns/{quote(run_id)}"
        state = self._send("GET", run)["state"]
        tasks = self._send("GET", f"{run}/taskInstances")["task_instances"]
        return DagRun(
            dag_id, run_id, state, tuple(TaskState(t["task_id"], t["state"] or "", t["try_number"]) for t in tasks)
        )

    def known_run(self, dag_id: str, run_id: str) -> DagRun | None:
        """As `state`; None where Airflow has no such run: it was started by hand, or its history was deleted."""
        response = self._ask("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}")
        return None if response.status_code == HTTPStatus.NOT_FOUND else self.state(dag_id, run_id)

    def timetable(self, dag_id: str) -> Timetable | None:
        """The DAG's newest run and its next; None as long as Airflow does not know the DAG."""
        response = self._ask("GET", f"dags/{dag_id}")
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        dag = self._checked(response)
        newest = self._send("GET", f"dags/{dag_id}/dagRuns", params={"order_by": "-run_after", "limit": 1})["dag_runs"]
        planned = None if dag["is_paused"] else _moment(dag["next_dagrun_run_after"])
        return Timetable(dag["is_paused"], planned, _run_times(newest[0]) if newest else None)

    def wait(self, dag_id: str, run_id: str, on_change: Callable[[DagRun], None], timeout_s: float) -> DagRun:
        """Returns when the run succeeded; `on_change` gets each new state, the last one included.

        Raises:
            ScheduleError: the run failed (with the end of the log of each task that did), or is not over in time.
        """
        seen: list[DagRun] = []

        def look() -> DagRun:
            run = self.state(dag_id, run_id)
            if run not in seen[-1:]:
                seen.append(run)
                on_change(run)
            return run

        def give_up(_: RetryCallState) -> NoReturn:
            raise ScheduleError(
                f"run {run_id} is not over after {timeout_s:.0f} s: {seen[-1]}. See {self._page(seen[-1])}"
            )

        run: DagRun = until(lambda run: run.state in _FINISHED, timeout_s, give_up, longest_pause_s=_LONGEST_PAUSE_S)(
            look
        )
        if run.state == "failed":
            raise ScheduleError(f"run {run_id} failed: {run}. See {self._page(run)}\n{self._logs_of_unfinished(run)}")
        return run

    def logs(self, run: DagRun) -> dict[str, str]:
        """Task -> the last lines of its last attempt; without tasks that were not attempted."""
        return {task.name: self._log_tail(run, task) for task in run.tasks if task.tries}

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What the task returned."""
        path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._send("GET", path, params={"deserialize": True})["value"]

    def _is_parsed(self, dag_id: str) -> bool:
        response = self._ask("GET", f"dags/{dag_id}")
        known = response.status_code != HTTPStatus.NOT_FOUND
        if known and not self._checked(response)["has_import_errors"]:
            return True
        # A file that does not parse may be another DAG's: only one that is named after the DAG ends the waiting.
        errors = self._import_errors(of_file=None if known else dag_id)
        if errors:
            raise ScheduleError(f"Airflow cannot use DAG {dag_id}. {errors}")
        return False

    def _import_errors(self, of_file: str | None = None) -> str:
        errors = self._send("GET", "importErrors")["import_errors"]
        return "\n".join(
            f"{error['filename']} cannot be parsed:\n{error['stack_trace']}"
            for error in errors
            if of_file is None or of_file in error["filename"]
        )

    def _run_again(self, dag_id: str, date: str, conf: dict[str, Any]) -> str:
        runs = self._send("GET", f"dags/{dag_id}/dagRuns", params={"logical_date_gte": date, "logical_date_lte": date})[
            "dag_runs"
        ]
        if not runs:
            raise ScheduleError(f"Airflow says that DAG {dag_id} has a run of {date}, but shows none")
        run_id: str = runs[0]["dag_run_id"]
        if (runs[0]["conf"] or {}) != conf:
            raise ScheduleError(
                f"run {run_id} of {date} was asked for with conf {runs[0]['conf']}, not with {conf}: "
                "take another logical date, or the same conf"
            )
        if runs[0]["state"] in _FINISHED:
            self._send("POST", f"dags/{dag_id}/dagRuns/{quote(run_id)}/clear", json={"dry_run": False})
            log.info("run %s of DAG %s was there: cleared, to run again", run_id, dag_id)
        return run_id

    def _logs_of_unfinished(self, run: DagRun) -> str:
        return "\n".join(
            f"Last lines of {task.name}, attempt {task.tries}:\n{self._log_tail(run, task)}"
            for task in run.tasks
            if task.tries and task.state != "success"
        )

    def _log_tail(self, run: DagRun, task: TaskState) -> str:
        path = f"dags/{run.dag_id}/dagRuns/{quote(run.run_id)}/taskInstances/{task.name}/logs/{task.tries}"
        response = self._ask("GET", path, params={"full_content": True})
        if not response.is_success:  # the run's failure is the news, not that its log is gone
            return f"(no log: Airflow answered {response.status_code})"
        content = response.json()["content"]
        lines = [line for entry in content for line in _log_lines(entry)]
        return "\n".join(lines[-_LOG_LINES:])

    def _page(self, run: DagRun) -> str:
        return f"{self._url}/dags/{run.dag_id}/runs/{quote(run.run_id)}"

    def _send(self, method: str, path: str, **more: Any) -> Any:
        return self._checked(self._ask(method, path, **more))

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer, whatever it is; asked again while nobody answers, and a question also while the server fails."""

        def is_passing(response: httpx.Response) -> bool:
            # What the api-server says while Postgres restarts is 500.
            return method == "GET" and response.is_server_error

        def last(state: RetryCallState) -> Any:
            return state.outcome.result() if state.outcome else None

        retrying = Retrying(
            retry=retry_if_exception(_may_pass) | retry_if_result(is_passing),
            stop=stop_after_delay(self._patience_s),
            wait=wait_exponential(multiplier=0.1, max=2),
            retry_error_callback=last,
        )
        try:
            response: httpx.Response = retrying(self._client.request, method, path, **more)
        except httpx.RequestError as error:
            if remedy := http.untrusted(error, self._authority_setting):
                raise ConfigError(f"Airflow at {self._url} is not trusted: {error}. {remedy}") from error
            raise ScheduleError(
                f"Airflow at {self._url} did not answer {method} {path}{_within(self._patience_s)}: "
                f"{type(error).__name__}: {error}. Is it running (`penstock status`)? Or set airflow.url."
            ) from error
        return response

    def _checked(self, response: httpx.Response) -> Any:
        if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise ScheduleError(
                f"Airflow at {self._url} refuses user {self._username!r} ({response.status_code}) for "
                f"{response.request.method} {response.request.url.path}: check airflow.username and airflow.password; "
                "`penstock status` shows the local credentials."
            )
        if response.is_success:
            return self._json(response)
        asked = f"{response.request.method} {shown(str(response.request.url))}"
        raise ScheduleError(f"Airflow answered {asked} with {response.status_code}: {response.text[:2_000]}")

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise ScheduleError(
                f"{shown(str(response.request.url))} answered {len(response.content)} bytes that are not JSON. "
                "Is airflow.url that of an Airflow 3?"
            ) from error


class _Token(httpx.Auth):
    """Logs in when first asked, and again when the token is no longer taken."""

    requires_response_body = True

    def __init__(self, url: str, username: str, password: SecretStr) -> None:
        self.url = url
        self._username = username
        self._password = password
        self._token = ""

    def body(self) -> dict[str, str]:
        """The body of the request for a token."""
        return {"username": self._username, "password": self._password.get_secret_value()}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        for _ in range(2):
            if not self._token:
                answer = yield httpx.Request("POST", self.url, json=self.body())
                if not answer.is_success:
                    return  # the refusal is the answer to the request
                self._token = answer.json()["access_token"]
            request.headers["Authorization"] = f"Bearer {self._token}"
            response = yield request
            if response.status_code != HTTPStatus.UNAUTHORIZED:
                return
            self._token = ""


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, _NOBODY_ANSWERS) and not http.untrusted(error)


def _within(patience_s: float) -> str:
    return f" within {patience_s:.0f} s" if patience_s else ""


def _run_times(run: Mapping[str, Any]) -> RunTimes:
    times = (_moment(run[name]) for name in ("logical_date", "start_date", "end_date"))
    return RunTimes(run["dag_run_id"], run["state"], *times)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _log_lines(entry: Any) -> list[str]:
    """An entry of a task's log, as people read it; Airflow gives plain text where it could not parse it."""
    if not isinstance(entry, dict):
        return [str(entry)]
    text = " ".join(str(entry[key]) for key in ("timestamp", "level", "event") if entry.get(key))
    causes = [f"  {cause.get('exc_type')}: {cause.get('exc_value')}" for cause in entry.get("error_detail") or ()]
    return [text, *causes]
