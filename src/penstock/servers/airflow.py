"""Airflow on this machine: api-server, scheduler and dag-processor, tasks run by the LocalExecutor.

All options are in an `airflow.cfg` of ours, which only its owner can read: it holds secrets, and an environment is
inherited by whatever a task starts.
"""

import json
import logging
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.config import LOOPBACK, Settings, child_environment, pipeline_environment
from penstock.errors import ServiceError
from penstock.launcher.service import NotReady, Service
from penstock.launcher.settings_file import SettingsFile
from penstock.launcher.state import write
from penstock.locks import held
from penstock.servers.access import as_principal
from penstock.servers.nodes import beneath_the_stream
from penstock.servers.postgres import DATABASE, ROLE, connect, settle_password
from penstock.servers.principals import Principal
from penstock.servers.probe import json_answer
from penstock.servers.secrets import forget_former, load_secrets

log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "penstock.servers.airflow_component")

_COMMAND_TIMEOUT_S = 300


def airflow(settings: Settings) -> tuple[Service, ...]:
    """The components; all need Postgres, and none needs another to start.

    The first one to be prepared brings the schema to this Airflow's version while the others wait.
    """
    stack = Components(settings)
    port = settings.ports.airflow
    return (
        stack.component("api-server", "metadatabase", ports={"api": port}, page=f"http://{LOOPBACK}:{port}"),
        # A page of logs is read from the folder of logs that all share, so no component serves its own: two processes
        # and 150 MB less.
        # Its children run the tasks, which speak to the API, Kafka and Cassandra.
        stack.component("scheduler", "scheduler", "--skip-serve-logs", credentials=("source", "kafka", "cassandra")),
        stack.component("dag-processor", "dag_processor"),
        *([stack.triggerer()] if settings.airflow.triggerer else []),
    )


def dags_folder() -> Path:
    """The folder with the DAG file: inside the installed package, else of the checkout that it is run from."""
    package = Path(__file__).parents[1]
    for folder in (package / "dags", package.parents[1] / "dags"):
        if folder.is_dir():
            return folder
    raise ServiceError(f"no folder with the DAG in {package} nor beside it: install Penstock again")


@dataclass(frozen=True)
class Components:
    """Command, environment and folders that all processes of Airflow share."""

    settings: Settings

    @property
    def home(self) -> Path:
        return self.settings.home / "data" / "airflow"

    def component(
        self, name: str, health: str, *arguments: str, credentials: tuple[str, ...] = (), **more: Any
    ) -> Service:
        """One component. `health` is its key in the answer of `/api/v2/monitor/health`, `credentials` are the sections
        of the settings of which it needs some.
        """
        given = SettingsFile(f"airflow-{name}", self.settings)
        started = self.settings.home / "run" / f"airflow-{name}.started"
        return Service(
            name=f"airflow-{name}",
            command=(*_COMMAND, name, *arguments),
            folder=self.home,
            log=self.settings.home / "logs" / f"airflow-{name}.log",
            environment={**self.environment(), **given.environment},
            needs=("postgres",),
            after=beneath_the_stream(self.settings),
            probed_through=() if name == "api-server" else ("airflow-api-server",),
            prepare=partial(self.prepare, given, credentials, started),
            probe=partial(_probe, self.settings, health, started),
            start_timeout_s=180,
            **more,
        )

    def triggerer(self) -> Service:
        """Told to end, it waits 10 s for its runner when that waits for an answer (kill(escalation_delay=10) in
        triggerer_job_runner.py of 3.3.2). The next one takes up its triggers: there is nothing to wait for.
        """
        return self.component("triggerer", "triggerer", "--skip-serve-logs", stop_timeout_s=2)

    def environment(self) -> Mapping[str, str]:
        """Without the settings, which a component has and a migration of the database does not need."""
        return {
            **pipeline_environment(self.settings),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONFIG": str(self._configuration),
            # Airflow names its processes; without this the name overwrites the environment that shows whose they are:
            # "Environment variables" in the README of setproctitle.
            "SPT_NOENV": "1",
            # Airflow starts `airflow` by that name.
            "PATH": os.pathsep.join([sysconfig.get_path("scripts"), *os.get_exec_path()]),
        }

    @property
    def _configuration(self) -> Path:
        return self.home / "airflow.cfg"

    def options(self) -> Mapping[str, str]:
        """Named SECTION__OPTION: https://airflow.apache.org/docs/apache-airflow/3.3.2/configurations-ref.html."""
        ports, hosts, secrets = self.settings.ports, self.settings.hosts, load_secrets(self.settings)
        database = f"{hosts.postgres}:{ports.postgres}"
        password = quote(secrets.postgres_password.get_secret_value(), safe="")
        logs = self.settings.home / "logs" / "airflow"
        return {
            **_OPTIONS,
            "CORE__DAGS_FOLDER": str(dags_folder()),
            "CORE__PARALLELISM": str(self.settings.airflow.parallelism),
            "CORE__EXECUTION_API_SERVER_URL": f"http://{hosts.airflow}:{ports.airflow}/execution/",
            "CORE__FERNET_KEY": secrets.airflow_fernet_key.get_secret_value(),
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{secrets.airflow_username}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords),
            "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{ROLE}:{password}@{database}/{DATABASE}",
            "API__HOST": self.settings.stack.listen,
            "API__PORT": str(ports.airflow),
            "API__SECRET_KEY": secrets.airflow_secret_key.get_secret_value(),
            "API_AUTH__JWT_SECRET": secrets.airflow_jwt_secret.get_secret_value(),
            "LOGGING__BASE_LOG_FOLDER": str(logs),
            "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(logs / "dag-processor"),
        }

    @property
    def _passwords(self) -> Path:
        return self.home / "passwords.json"

    def prepare(self, given: SettingsFile, credentials: tuple[str, ...], started: Path) -> None:
        """Files and schema; `started` is touched last, so that an older heartbeat than that is a former life's."""
        started.parent.mkdir(parents=True, exist_ok=True)
        # Now, for a password may have been rotated; of those that run no task nobody has one.
        known = as_principal(self.settings, Principal.INGEST) if credentials else self.settings
        replace(given, settings=known.with_credentials_of(*credentials)).write()
        with self._prepared():
            self._migrate()
        started.touch()

    def end_rotation(self) -> None:
        """What Airflow stores encrypted is encrypted anew with the newest key; then all former secrets are forgotten.
        To be called once every component has been started with the new ones.

        Raises:
            ServiceError: Postgres does not answer, or Airflow cannot read what it stores: nothing is forgotten.
        """
        with self._prepared():
            if self._revision():
                self._run("rotate-fernet-key")
            forget_former(self.settings)
            self._write_files()

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        """Postgres and the files have the secrets that count. One at a time: all are prepared at the same time."""
        self.home.mkdir(parents=True, exist_ok=True)
        with held(self.home / "prepare.lock", timeout_s=None):
            settle_password(self.settings)
            self._write_files()
            yield

    def _write_files(self) -> None:
        own = load_secrets(self.settings)
        write(self._passwords, json.dumps({own.airflow_username: own.airflow_password.get_secret_value()}) + "\n")
        write(self._configuration, configuration(self.options()))

    def _migrate(self) -> None:
        """Asking Airflow whether there is anything to migrate takes 3 s; a stamp that the database confirms, 10 ms."""
        stamp = self.home / "schema.json"
        this = version("apache-airflow-core")
        if _stamped(stamp) == {"airflow": this, "revision": self._revision()}:
            return
        self._run("db", "migrate")
        stamp.write_text(json.dumps({"airflow": this, "revision": self._revision()}), "utf-8")
        log.info("brought Airflow's database to version %s", this)

    def _run(self, *arguments: str) -> None:
        """Airflow's own command, to its end."""
        command, said = (*_COMMAND, *arguments), f"airflow {' '.join(arguments)}"
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                command,
                env=child_environment(self.environment()),
                cwd=self.home,
                capture_output=True,
                text=True,
                check=False,
                timeout=_COMMAND_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise ServiceError(f"{said} did not end within {_COMMAND_TIMEOUT_S} s") from error
        if done.returncode != 0:
            output = (done.stdout + done.stderr).strip()[-3000:]
            raise ServiceError(f"{said} ended with exit code {done.returncode}. Its last lines:\n{output}")

    def _revision(self) -> str | None:
        """The schema's revision as the database has it; None when it has no schema."""
        with connect(self.settings) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('alembic_version')")
            if cursor.fetchone() == (None,):
                return None
            cursor.execute("SELECT version_num FROM alembic_version")
            row = cursor.fetchone()
            return str(row[0]) if row else None


# What does not depend on settings. Times in seconds.
_OPTIONS: Mapping[str, str] = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    "API__WORKERS": "1",
    "DATABASE__SQL_ALCHEMY_POOL_SIZE": "2",
    "DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "8",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    "LOGGING__DAG_PROCESSOR_LOG_TARGET": "stdout",
    # A new or changed DAG file is seen within this time; listing one folder costs nothing.
    "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    # What a killed process leaves behind is found by its silence: the next scheduler takes over the tasks of one that
    # was silent for 20 s, a task whose own process is silent for 30 s is retried.
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    # A task outlives an api-server that restarts: it asks again for a minute, at least every 5 s (upstream: 90 s).
    "WORKERS__EXECUTION_API_RETRIES": "15",
    "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
}


def configuration(options: Mapping[str, str]) -> str:
    """Of options named SECTION__OPTION, as Airflow's variables are. A percent sign would begin a reference."""
    file = ConfigParser()
    for name, value in options.items():
        section, _, option = name.lower().partition("__")
        if not file.has_section(section):
            file.add_section(section)
        file.set(section, option, value.replace("%", "%%"))
    text = StringIO()
    file.write(text)
    return text.getvalue()


def _stamped(stamp: Path) -> Any:
    try:
        return json.loads(stamp.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _probe(settings: Settings, component: str, started: Path) -> None:
    """Ready means: the api-server answers and says so. A heartbeat older than our start is a former life's."""
    answer = json_answer(settings.ports.airflow, "/api/v2/monitor/health", settings.hosts.airflow)
    health = answer.get(component) or {}
    if health.get("status") != "healthy":
        raise NotReady(f"{component} is {health.get('status') or 'not known yet'}")
    heartbeat = health.get(f"latest_{component}_heartbeat")
    if heartbeat and datetime.fromisoformat(heartbeat) < _touched(started):
        raise NotReady(f"the last heartbeat of {component} is of {heartbeat}, before this start")


def _touched(started: Path) -> datetime:
    return (
        datetime.fromtimestamp(started.stat().st_mtime, UTC) if started.exists() else datetime.min.replace(tzinfo=UTC)
    )
