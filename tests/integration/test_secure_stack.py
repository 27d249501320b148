"""The whole secure stack: Airflow's task, the stream and a person's commands, each with credentials of its own."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet, InvalidToken

from penstock.airflow import Airflow
from penstock.cli.support.tour import run as run_dag
from penstock.config import Settings, StackSettings, child_environment
from penstock.ingest import Run
from penstock.launcher import control
from penstock.launcher.home import Home
from penstock.launcher.process import spawn
from penstock.launcher.service import NotReady, Service
from penstock.locks import held
from penstock.pipelines.contract import Pipeline
from penstock.servers import console_token
from penstock.servers.access import SPARK, as_principal, secrets_of, spark_secret
from penstock.servers.java import find_java
from penstock.servers.postgres import connect, postgres
from penstock.servers.principals import Principal
from penstock.servers.secrets import FILE_NAME, Secrets, load_secrets, postgres_passwords, with_credentials
from penstock.servers.spark import spark_worker
from rig.stacks import penstock, processes_of, settings_in
from tests.clusters import unaccounted, until_stored
from tests.faults.load import Load
from tests.faults.stage import kill
from tests.secured import changed, listening_elsewhere
from tests.waiting import TIMEOUT_S, until

pytestmark = pytest.mark.thorough
RECORDS = 500
DAG = "user_info"
ROTATION_TIMEOUT_S = 900
KEPT = "what Airflow keeps"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a secure stack with everything running, after a demo of it."""
    settings = settings_in(tmp_path_factory.mktemp("secure") / "home", StackSettings(secure=True))
    opened = settings.model_copy(update={"stack": StackSettings()})
    try:
        done = penstock(opened, "demo", "--secure", "--records", str(RECORDS), timeout_s=TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        assert f"fetched {RECORDS} = stored {RECORDS} + dead-lettered 0" in done.stdout
        yield settings
    finally:
        control.down(settings)
    assert processes_of(settings.home) == []


@pytest.mark.timeout(2_400)
def test_new_secrets_under_load_lose_nothing_and_the_former_are_of_no_use(
    secure: Settings, pipeline: Pipeline, tmp_path: Path
) -> None:
    """One rotation is killed in the middle, and called again."""
    before, token, word = load_secrets(secure), console_token.token(secure), spark_secret(secure)
    login = log_in(secure, before)
    assert keep(secure, login.json()["access_token"]).is_success
    run = Run(pipeline, "while secrets are rotated")
    with Load(as_principal(secure, Principal.OPERATOR), run, run.id) as load:
        until(lambda: load.expected.messages > 1_000, "the load is not acknowledged")
        with Airflow(with_credentials(secure)) as airflow:
            in_flight = airflow.trigger(DAG, datetime.now(UTC), {"records": 20 * RECORDS})
        rotate_half(secure)
        done = penstock(secure, "secrets", "rotate", timeout_s=ROTATION_TIMEOUT_S)
        assert done.returncode == 0, done.stderr
        until_stored(as_principal(secure, Principal.OPERATOR), pipeline, load, load.expected.messages)
    with Airflow(with_credentials(secure)) as airflow:
        airflow.wait(DAG, in_flight, lambda _: None, TIMEOUT_S)
    operator = as_principal(secure, Principal.OPERATOR)
    assert unaccounted(operator, run, load) == {}
    run_dag(operator, pipeline, RECORDS)  # raises unless every record is accounted for
    deep = penstock(secure, "reconcile", "--deep", "--json")
    assert {json.loads(line)["balances"] for line in deep.stdout.splitlines()} == {True}, deep.stderr

    refuse_airflow(secure, before, login.json()["access_token"])
    refuse_postgres(secure, before)
    assert httpx.get(page(secure), params={"token": token}).status_code == 401
    assert httpx.get(page(secure), params={"token": console_token.token(secure)}).status_code == 303
    assert executors(secure) == {spark_secret(secure)}
    assert registers(secure, tmp_path / "anew", spark_secret(secure))
    assert not registers(secure, tmp_path / "former", word)


def rotate_half(secure: Settings) -> None:
    """Killed when Postgres and Airflow have new secrets in the file, and none of them knows."""
    command = (sys.executable, "-m", "penstock", "secrets", "rotate")
    rotating = subprocess.Popen(command, env=child_environment(secure.environment()), stderr=subprocess.DEVNULL)
    until(lambda: len(postgres_passwords(secure)) > 1, "Postgres gets no new password")
    rotating.kill()
    rotating.wait()


def airflow_at(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.ports.airflow}"


def page(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.ports.console}/"


def log_in(settings: Settings, own: Secrets) -> httpx.Response:
    credentials = {"username": own.airflow_username, "password": own.airflow_password.get_secret_value()}
    return httpx.post(f"{airflow_at(settings)}/auth/token", json=credentials, timeout=60)


def keep(settings: Settings, token: str) -> httpx.Response:
    """Has Airflow store a secret."""
    connection = {"connection_id": "kept", "conn_type": "http", "password": KEPT}
    address, bearer = f"{airflow_at(settings)}/api/v2/connections", {"Authorization": f"Bearer {token}"}
    return httpx.post(address, headers=bearer, json=connection, timeout=60)


def refuse_airflow(settings: Settings, before: Secrets, token: str) -> None:
    """Neither the former password nor a token of that time; what is stored is encrypted with the new key only."""
    assert log_in(settings, before).status_code == 401
    assert keep(settings, token).status_code == 403  # as Airflow answers a token that it did not sign
    with connect(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT password FROM connection WHERE conn_id = 'kept'")
        [(stored,)] = cursor.fetchall()
    key = load_secrets(settings).airflow_fernet_key.get_secret_value()
    assert Fernet(key).decrypt(stored).decode() == KEPT
    with pytest.raises(InvalidToken):
        Fernet(before.airflow_fernet_key.get_secret_value()).decrypt(stored)


def refuse_postgres(settings: Settings, before: Secrets) -> None:
    assert len(postgres_passwords(settings)) == 1
    postgres(settings).probe()
    with pytest.raises(NotReady, match="password authentication"):
        postgres(changed(settings, secrets={"postgres_password": before.postgres_password})).probe()


def executors(settings: Settings) -> set[str]:
    """The secrets that the executors have, in the variable in which Spark gives it to them."""
    found = {process.environ().get("_SPARK_AUTH_SECRET", "") for process in processes_of(settings.home)}
    return found - {""}


def registers(secure: Settings, home: Path, word: str) -> bool:
    """Whether the master takes a further worker with this secret."""
    own = settings_in(home, StackSettings(secure=True))
    master = {name: getattr(secure.ports, name) for name in ("spark_master", "spark_master_ui")}
    stranger = own.model_copy(update={"ports": own.ports.model_copy(update=master)})
    load_secrets(stranger)
    kept = json.loads((home / FILE_NAME).read_text("utf-8"))
    (home / FILE_NAME).write_text(json.dumps(kept | {"passwords": {SPARK: word}}), "utf-8")
    worker = spark_worker(stranger, find_java(stranger))
    worker.log.parent.mkdir(parents=True)
    worker.prepare()
    process = spawn(worker, home)
    try:
        return until(lambda: verdict(worker), "the worker is neither taken nor refused") == "taken"
    finally:
        process.terminate()
        process.wait()


def verdict(worker: Service) -> str:
    """The master's, or nothing yet."""
    if "New auth protocol failed" in worker.log.read_text("utf-8"):
        return "refused"
    try:
        worker.probe()
    except NotReady:
        return ""
    return "taken"


def test_a_rotation_beside_another_or_with_other_settings_is_refused_and_changes_nothing(secure: Settings) -> None:
    before = (secure.home / FILE_NAME).read_bytes()
    with held(secure.home / "run" / "rotation.lock"):
        beside = penstock(secure, "secrets", "rotate")
    other = penstock(changed(secure, secrets={"postgres_password": "given only here"}), "secrets", "rotate")
    assert beside.returncode != 0
    assert other.returncode != 0
    assert "is rotating the secrets" in beside.stderr
    assert "PENSTOCK_SECRETS_POSTGRES_PASSWORD" in other.stderr
    assert (secure.home / FILE_NAME).read_bytes() == before


def test_a_rotation_is_refused_where_another_version_watches_the_stack_or_nobody_does(secure: Settings) -> None:
    before, state = (secure.home / FILE_NAME).read_bytes(), Home(secure.home).state
    own = state.read_text("utf-8")
    state.write_text(re.sub(r'"version":"[^"]+"', '"version":"0.1.9"', own), "utf-8")
    upgraded = penstock(secure, "secrets", "rotate")
    state.write_text(own, "utf-8")
    now = control.status(secure, memory=False)
    # The watchdog first: it would be the next supervisor.
    kill([now.watchdog_pid, now.supervisor_pid])
    unwatched = penstock(secure, "secrets", "rotate")
    again = penstock(secure, "up", "--secure", timeout_s=ROTATION_TIMEOUT_S)
    assert "was started by Penstock 0.1.9" in upgraded.stderr
    assert "nobody watches the services" in unwatched.stderr
    assert 0 not in (upgraded.returncode, unwatched.returncode)
    assert again.returncode == 0
    assert (secure.home / FILE_NAME).read_bytes() == before


def test_only_loopback_is_listened_on(secure: Settings) -> None:
    assert listening_elsewhere(secure.home, least=15) == []


def test_no_password_stands_on_a_command_line_or_in_a_log(secure: Settings) -> None:
    words = [word.get_secret_value() for word in secrets_of(secure).now.values()]
    commands = [" ".join(process.cmdline()) for process in processes_of(secure.home)]
    logs = [file.read_text("utf-8", "replace") for file in (secure.home / "logs").rglob("*") if file.is_file()]
    assert [text for text in (*commands, *logs) if any(word in text for word in words)] == []


def test_pages_ask_for_credentials(secure: Settings) -> None:
    for port, path in ((secure.ports.console, "/"), (secure.ports.airflow, "/api/v2/dags")):
        assert httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60).status_code == 401


def test_no_page_of_spark_ends_a_job(secure: Settings) -> None:
    """Whoever can open them needs no credentials, and any page in a browser can have it send a GET."""
    jobs = httpx.get(f"http://127.0.0.1:{secure.ports.spark_driver_ui}/jobs/", timeout=60)
    assert "Active Jobs" in jobs.text
    assert "kill/?id" not in jobs.text


def test_airflow_lets_in_who_has_them(secure: Settings) -> None:
    with Airflow(with_credentials(secure)) as airflow:
        airflow.wait_until_parsed(DAG, 120)
