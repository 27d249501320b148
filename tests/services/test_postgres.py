"""The real Postgres, as its service declares it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from penstock.config import Settings
from penstock.services.postgres import connect, postgres
from penstock.services.process import spawn
from penstock.services.secrets import Secrets, load_secrets
from penstock.services.spec import NotReady, Service
from tests.hostile_environment import HOSTILE


@pytest.fixture
def secrets(settings: Settings) -> Secrets:
    return load_secrets(settings)


@contextmanager
def running(service: Service, home: Settings) -> Iterator[subprocess.Popen[bytes]]:
    service.log.parent.mkdir(parents=True, exist_ok=True)
    service.prepare()
    process = spawn(service, home.home)
    try:
        Retrying(
            stop=stop_after_delay(60), wait=wait_fixed(0.05), retry=retry_if_exception_type(NotReady), reraise=True
        )(service.probe)
        yield process
    finally:
        process.send_signal(service.stop_signal)
        process.wait(service.stop_limit_s)


def execute(settings: Settings, secrets: Secrets, *statements: str) -> list[tuple[object, ...]]:
    with connect(settings, secrets) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
        return cursor.fetchall()


def test_gives_airflow_a_database_of_its_own(
    settings: Settings, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in HOSTILE.items():  # libpq obeys its variables in this very process too
        monkeypatch.setenv(name, value)
    with running(postgres(settings, secrets), settings):
        found = execute(
            settings,
            secrets,
            "SELECT current_user, current_database(), pg_encoding_to_char(encoding) "
            "FROM pg_database WHERE datname = current_database()",
        )
    assert found == [("airflow", "airflow", "UTF8")]


def test_refuses_a_wrong_password(settings: Settings, secrets: Secrets) -> None:
    stranger = load_secrets(settings.model_copy(update={"home": settings.home / "elsewhere"}))
    with running(postgres(settings, secrets), settings), pytest.raises(NotReady, match="password authentication"):
        postgres(settings, stranger).probe()


def test_stops_at_once_though_a_client_is_connected(settings: Settings, secrets: Secrets) -> None:
    service = postgres(settings, secrets)
    with running(service, settings) as process, connect(settings, secrets):
        process.send_signal(service.stop_signal)
        assert process.wait(service.stop_limit_s) == 0


def test_is_not_ready_before_it_runs(settings: Settings, secrets: Secrets) -> None:
    with pytest.raises(NotReady, match="refused"):
        postgres(settings, secrets).probe()


def test_kill_9_loses_nothing_that_was_committed(settings: Settings, secrets: Secrets) -> None:
    service = postgres(settings, secrets)
    with running(service, settings) as process:
        execute(settings, secrets, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
        process.kill()
        process.wait()
    with running(service, settings):
        assert execute(settings, secrets, "SELECT n FROM kept") == [(7,)]


def test_starts_though_a_child_of_the_killed_one_still_holds_its_memory(settings: Settings, secrets: Secrets) -> None:
    service = postgres(settings, secrets)
    with running(service, settings) as process:
        children = psutil.Process(process.pid).children()
        children[0].suspend()  # cannot notice that its parent is gone
        process.kill()
        process.wait()
    with running(service, settings):
        assert not any(child.is_running() for child in children)


def test_a_half_made_data_folder_is_made_anew(settings: Settings, secrets: Secrets) -> None:
    half = settings.home / "data" / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    with running(postgres(settings, secrets), settings):
        assert not half.exists()


def test_never_runs_as_root(settings: Settings, secrets: Secrets) -> None:
    with running(postgres(settings, secrets), settings) as process:
        assert psutil.Process(process.pid).uids().effective != 0
