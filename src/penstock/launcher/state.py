"""The state of the stack: for everybody to read (`StackState`), and as the supervisor records it (`Recorded`)."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from penstock.config import LOOPBACK, Settings, declaring_files, references
from penstock.config.names import variable_of
from penstock.errors import PortTakenError, ServiceError, ServiceExitedError, ServiceNotReadyError
from penstock.launcher.home import Home
from penstock.launcher.process import Process, boot_id
from penstock.launcher.service import Service

Model = TypeVar("Model", bound=BaseModel)


class Phase(StrEnum):
    """Where a service stands."""

    WAITING = "waiting"
    """For the services it needs."""
    STARTING = "starting"
    READY = "ready"
    NOT_ANSWERING = "not answering"
    """It was ready and runs, and gives its probe no good answer any more."""
    RESTARTING = "restarting"
    """It was ready, and died or was silent for too long."""
    FAILED = "failed"
    """It never was ready, and is not tried again until the next `up`."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"
    """It died, and no supervisor lives that would start it again."""


ONCE_READY = (Phase.READY, Phase.NOT_ANSWERING)
"""Of a service that runs, and was ready in this life of it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class ServiceState(_Frozen):
    """One service, for people and scripts. `error` is the last one, of a service that is ready again as well."""

    name: str
    state: Phase
    pid: int | None = None
    ports: Mapping[str, int]
    host: str = LOOPBACK
    """Address of this machine that the ports are of."""
    page: str = ""
    log: Path
    memory_pss_bytes: int | None = None
    """Of all its processes, shared pages divided among their users; None where nobody measured."""
    started_at: AwareDatetime | None = None
    ready_after_s: float | None = None
    silent_since: AwareDatetime | None = None
    """When it was asked first without a good answer, while it is not answering."""
    restarts: int = 0
    error: str = ""


class StackState(_Frozen):
    """The whole stack at one moment."""

    home: Path
    supervisor_pid: int | None
    """None when nobody watches the services."""
    watchdog_pid: int | None = Field(default=None, alias="guardian_pid")
    """Of the process that replaces a killed supervisor. In JSON it has its former name, which scripts may read."""
    supervisor_memory_pss_bytes: int | None = None
    services: tuple[ServiceState, ...]

    @property
    def ready(self) -> bool:
        return all(service.state is Phase.READY for service in self.services)

    def service(self, name: str) -> ServiceState:
        return next(service for service in self.services if service.name == name)

    def to_json(self) -> str:
        return self.model_dump_json(indent=2)


class Failure(_Frozen):
    """Why a service is not ready, as data: the supervisor records it, and `up` raises it in another process."""

    service: str
    kind: Literal["port_taken", "exited", "not_ready", "other"]
    text: str = ""
    """The holder of the port, the last answer, or the whole sentence of an `other`."""
    port: int = 0
    exit_code: int | None = None
    seconds: float = 0
    log: Path = Path()
    tail: str = ""

    def error(self) -> ServiceError:
        match self.kind:
            case "port_taken":
                return PortTakenError([(self.service, self.port, self.text)], "`penstock doctor` says what is free")
            case "exited":
                return ServiceExitedError(self.service, self.exit_code, self.log, self.tail)
            case "not_ready":
                return ServiceNotReadyError(self.service, self.seconds, self.text, self.log, self.tail)
            case "other":
                return ServiceError(self.text)


class RecordedService(_Frozen):
    """One service as its supervisor knows it, with all that another process needs to find, judge and stop it."""

    name: str
    phase: Phase
    process: Process | None = None
    ports: Mapping[str, int]
    host: str = LOOPBACK
    page: str
    log: Path
    needs: tuple[str, ...]
    stop_signal: int
    stop_timeout_s: float = Field(alias="stop_limit_s")  # as `state.json` of a running stack has it
    started_at: AwareDatetime | None = None
    ready_after_s: float | None = None
    silent_since: AwareDatetime | None = None
    """Of its last silence: it may answer again."""
    restarts: int = 0
    error: str = ""
    failure: Failure | None = None
    """Set while the service is failed."""

    @classmethod
    def of(cls, service: Service) -> Self:
        return cls(
            name=service.name,
            phase=Phase.WAITING,
            ports=dict(service.ports),
            host=service.host,
            page=service.page,
            log=service.log,
            needs=service.needs,
            stop_signal=service.stop_signal,
            stop_timeout_s=service.stop_timeout_s,
        )

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.alive()

    def public(self, phase: Phase | None = None) -> ServiceState:
        state = phase or self.phase
        return ServiceState(
            name=self.name,
            state=state,
            pid=self.process.pid if self.process else None,
            ports=self.ports,
            host=self.host,
            page=self.page,
            log=self.log,
            started_at=self.started_at,
            ready_after_s=self.ready_after_s,
            silent_since=self.silent_since if state is Phase.NOT_ANSWERING else None,
            restarts=self.restarts,
            error=self.error,
        )


class Recorded(_Frozen):
    """The content of `state.json`."""

    boot: str
    version: str = ""
    """Of the package that the supervisor runs; 0.1.0 did not say it."""
    settings: Mapping[str, str]
    """Fingerprint of the settings that the services run with."""
    request: int
    """The last request that was taken up."""
    services: tuple[RecordedService, ...]


class Request(_Frozen):
    """What shall run. Numbered, so that whoever asks can tell an answer from an older one."""

    number: int = 0
    names: tuple[str, ...] = ()


def clock_time(moment: datetime) -> str:
    """A moment as people here read it: the time of day, and the date where that is not today's."""
    local = moment.astimezone()
    return f"{local:%H:%M:%S}" if local.date() == datetime.now().astimezone().date() else f"{local:%Y-%m-%d %H:%M:%S}"


def fingerprint(settings: Settings) -> dict[str, str]:
    """A short hash of each setting, by the name of its variable: shows what changed and tells no secret."""
    # Validated again, for a default of 20 seconds is 20.0 once it has been through an environment.
    plain = Settings.model_validate(settings.model_dump())
    return {name: hashlib.sha256(value.encode()).hexdigest()[:16] for name, value in plain.environment().items()}


def changed_settings(settings: Settings, then: Mapping[str, str]) -> list[str]:
    """The variables whose value is another one than that of a fingerprint.

    A folder that declares nothing is no other project: who calls from there means the stack with the project it has.
    """
    now = fingerprint(settings)
    changed = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
    declares = declaring_files(settings) or references(settings)
    return changed if declares or changed != [variable_of(("project",))] else []


def read_recorded(home: Home) -> Recorded | None:
    """The record of the last supervisor; None if none is usable. Processes of an earlier boot are left out."""
    recorded = _read(home.state, Recorded)
    if recorded is None or recorded.boot == boot_id():
        return recorded
    services = tuple(service.model_copy(update={"process": None}) for service in recorded.services)
    return recorded.model_copy(update={"services": services})


def read_request(home: Home) -> Request:
    return _read(home.request, Request) or Request()


def living_supervisor(home: Home) -> Process | None:
    """The supervisor of this home, if it runs."""
    return _living(home.supervisor)


def living_watchdog(home: Home) -> Process | None:
    """The watchdog of this home's supervisor, if it runs; where that was killed it is about to be the next one."""
    return _living(home.watchdog)


def record_supervisor(home: Home, process: Process) -> None:
    _record(home.supervisor, process)


def record_watchdog(home: Home, process: Process) -> None:
    _record(home.watchdog, process)


def _living(file: Path) -> Process | None:
    try:
        saved = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    process = Process(saved["pid"], saved["started_s"])
    return process if saved["boot"] == boot_id() and process.alive() else None


def _record(file: Path, process: Process) -> None:
    write(file, json.dumps({"pid": process.pid, "started_s": process.started_s, "boot": boot_id()}))


def write(path: Path, text: str, *, durable: bool = False) -> None:
    """Replaces a file whole (mode 0600): readers find the old text or the new one, never a part, even after kill -9.

    A durable one is on the disk when this returns: also a loss of power leaves the old text or the new one.
    """
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(draft).replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Returns when the names of the files in it are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_once(path: Path, text: str) -> str:
    """Gives a file its text (mode 0600), unless it has one; returns what it has, the same for all who call at once."""
    if path.exists():
        return path.read_text("utf-8")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return path.read_text("utf-8")
    finally:
        Path(draft).unlink()
    return text


def _read(path: Path, model: type[Model]) -> Model | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        return None  # of another version, or cut short by a loss of power: then the marker finds what still runs
