"""Airflow's REST API from the client's side, against an Airflow that plays a script."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from penstock.airflow import Airflow, DagRun
from penstock.config import AirflowSettings, Settings
from penstock.errors import ScheduleError
from tests.secured import changed

RUNS = "/api/v2/dags/d/dagRuns"
DATE = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)
RUN = "manual__2025-03-12T14:30:00+00:00"
Answer = tuple[int, Any]


class Script:
    """Answers each (method, path) with what is written for it, one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = {
            ("POST", "/auth/token"): [(201, {"access_token": "one"}), (201, {"access_token": "two"})]
        }
        self.asked: list[httpx.Request] = []

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self.answers[method, path] = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answers = self.answers[request.method, request.url.path]
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return httpx.Response(status, json=body)

    def bodies(self, method: str, path: str) -> list[Any]:
        return [json.loads(r.content) for r in self.asked if (r.method, r.url.path) == (method, path)]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def airflow(script: Script) -> Iterator[Airflow]:
    with connect(script) as airflow:
        yield airflow


def connect(handler: Callable[[httpx.Request], httpx.Response], *, patience_s: float = 0.1) -> Airflow:
    own = AirflowSettings(url="http://airflow:8080/", username="admin", password=SecretStr("pw"))
    return Airflow(Settings(airflow=own), patience_s=patience_s, transport=httpx.MockTransport(handler))


def test_logs_in_once_for_many_requests(script: Script, airflow: Airflow) -> None:
    script.on("PATCH", "/api/v2/dags/d", (200, {}))
    airflow.unpause("d")
    airflow.unpause("d")
    assert script.bodies("POST", "/auth/token") == [{"username": "admin", "password": "pw"}]


def test_logs_in_again_when_the_token_is_no_longer_taken(script: Script, airflow: Airflow) -> None:
    script.on("PATCH", "/api/v2/dags/d", (401, {}), (200, {}))
    airflow.unpause("d")
    assert script.asked[-1].headers["Authorization"] == "Bearer two"


def test_no_error_shows_a_password_that_stands_in_the_address() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"access_token": "one"}) if "token" in request.url.path else httpx.Response(404)

    for handler, match in ((fail, "https://airflow did not answer"), (answer, "GET https://airflow/api")):
        transport = httpx.MockTransport(handler)
        own = changed(Settings(), airflow={"url": "https://me:hidden@airflow/", "username": "me", "password": "pw"})
        asking = Airflow(own, patience_s=0.1, transport=transport)
        with asking, pytest.raises(ScheduleError, match=match) as caught:
            asking.state("d", "r")
        assert "hidden" not in str(caught.value)


def test_refused_log_in_names_the_user_and_not_the_password(script: Script, airflow: Airflow) -> None:
    script.on("POST", "/auth/token", (401, {"detail": "Invalid credentials"}))
    with pytest.raises(ScheduleError, match="refuses user 'admin'") as caught:
        airflow.unpause("d")
    assert "pw" not in str(caught.value)


def test_asks_again_while_the_server_fails(script: Script) -> None:
    runs = {"state": "success"}, {"task_instances": []}
    script.on("GET", f"{RUNS}/{RUN}", (500, {"detail": "no database"}), (200, runs[0]))
    script.on("GET", f"{RUNS}/{RUN}/taskInstances", (200, runs[1]))
    with connect(script, patience_s=5) as airflow:
        assert airflow.state("d", RUN) == DagRun("d", RUN, "success")


def test_airflow_that_is_not_there_is_named() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused", request=request)

    with pytest.raises(ScheduleError, match=r"http://airflow:8080 did not answer PATCH dags/d.*Connection refused"):
        connect(refuse).unpause("d")


def test_api_server_that_restarts_is_waited_for(script: Script) -> None:
    script.on("PATCH", "/api/v2/dags/d", (200, {}))
    refusals = iter([True, True])

    def restart(request: httpx.Request) -> httpx.Response:
        if next(refusals, False):
            raise httpx.ConnectError("Connection refused", request=request)
        return script(request)

    connect(restart, patience_s=30).unpause("d")


def test_trigger_names_the_run_so_that_asking_twice_makes_one(script: Script, airflow: Airflow) -> None:
    script.on("POST", RUNS, (200, {"dag_run_id": RUN}))
    assert airflow.trigger("d", DATE, {"records": 5}) == RUN
    assert script.bodies("POST", RUNS) == [
        {"dag_run_id": RUN, "logical_date": "2025-03-12T14:30:00+00:00", "conf": {"records": 5}}
    ]


def test_finished_run_of_the_same_date_runs_again(script: Script, airflow: Airflow) -> None:
    script.on("POST", RUNS, (409, {"detail": "unique"}))
    script.on("GET", RUNS, (200, {"dag_runs": [{"dag_run_id": RUN, "conf": {}, "state": "success"}]}))
    script.on("POST", f"{RUNS}/{RUN}/clear", (200, {}))
    assert airflow.trigger("d", DATE) == RUN
    assert script.bodies("POST", f"{RUNS}/{RUN}/clear") == [{"dry_run": False}]


def test_running_run_of_the_same_date_is_left_alone(script: Script, airflow: Airflow) -> None:
    script.on("POST", RUNS, (409, {"detail": "unique"}))
    script.on("GET", RUNS, (200, {"dag_runs": [{"dag_run_id": RUN, "conf": {}, "state": "running"}]}))
    assert airflow.trigger("d", DATE) == RUN


def test_same_date_with_another_conf_is_refused(script: Script, airflow: Airflow) -> None:
    script.on("POST", RUNS, (409, {"detail": "unique"}))
    script.on("GET", RUNS, (200, {"dag_runs": [{"dag_run_id": RUN, "conf": {"records": 5}, "state": "success"}]}))
    with pytest.raises(ScheduleError, match="take another logical date"):
        airflow.trigger("d", DATE, {"records": 6})


def test_wait_returns_the_run_that_succeeded(script: Script, airflow: Airflow) -> None:
    seen: list[DagRun] = []
    run_is(script, "success", ("t", "success", 1))
    airflow.wait("d", RUN, seen.append, timeout_s=10)
    assert [str(run) for run in seen] == ["d success (t success)"]


def test_failed_run_shows_the_end_of_its_log(script: Script, airflow: Airflow) -> None:
    run_is(script, "failed", ("t", "failed", 2))
    log = [{"event": "Task failed", "level": "error", "error_detail": [{"exc_type": "E", "exc_value": "no broker"}]}]
    script.on("GET", f"{RUNS}/{RUN}/taskInstances/t/logs/2", (200, {"content": log}))
    with pytest.raises(ScheduleError, match=r"(?s)failed.*t, attempt 2:\nerror Task failed\n  E: no broker"):
        airflow.wait("d", RUN, lambda _: None, timeout_s=10)


def test_failed_run_without_a_log_is_still_the_news(script: Script, airflow: Airflow) -> None:
    run_is(script, "failed", ("t", "failed", 1))
    script.on("GET", f"{RUNS}/{RUN}/taskInstances/t/logs/1", (404, {}))
    with pytest.raises(ScheduleError, match="failed"):
        airflow.wait("d", RUN, lambda _: None, timeout_s=10)


def test_run_that_takes_too_long_is_named_with_its_state(script: Script, airflow: Airflow) -> None:
    run_is(script, "running", ("t", "queued", 0))
    with pytest.raises(ScheduleError, match=r"not over after 0 s: d running \(t queued\)"):
        airflow.wait("d", RUN, lambda _: None, timeout_s=0.01)


def test_file_that_cannot_be_parsed_is_shown_in_full(script: Script, airflow: Airflow) -> None:
    script.on("GET", "/api/v2/dags/d", (404, {}))
    trace = "Traceback …\nModuleNotFoundError: No module named 'x'"
    script.on("GET", "/api/v2/importErrors", (200, {"import_errors": [{"filename": "d.py", "stack_trace": trace}]}))
    with pytest.raises(ScheduleError, match="No module named 'x'"):
        airflow.wait_until_parsed("d", timeout_s=10)


def test_result_is_what_the_task_returned(script: Script, airflow: Airflow) -> None:
    script.on("GET", f"{RUNS}/{RUN}/taskInstances/t/xcomEntries/return_value", (200, {"value": {"fetched": 3}}))
    assert airflow.result("d", RUN, "t") == {"fetched": 3}


def run_is(script: Script, state: str, *tasks: tuple[str, str, int]) -> None:
    script.on("GET", f"{RUNS}/{RUN}", (200, {"state": state}))
    instances = [{"task_id": name, "state": task_state, "try_number": tries} for name, task_state, tries in tasks]
    script.on("GET", f"{RUNS}/{RUN}/taskInstances", (200, {"task_instances": instances}))
