"""Our own commands as services: the simulator of the users API, the streaming app, and the console."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from penstock.config import LOOPBACK, Settings, pipeline_environment
from penstock.launcher.service import NotReady, Service
from penstock.launcher.settings_file import SettingsFile
from penstock.servers.access import as_principal
from penstock.servers.java import LOADED, Java
from penstock.servers.nodes import beneath_the_stream
from penstock.servers.principals import Principal
from penstock.servers.probe import json_answer
from penstock.servers.secrets import with_credentials
from penstock.servers.spark import application_classes, driver_environment

_STREAM_GAUGE = ".spark.streaming."
"""Part of the name of a running query's gauges, which Spark has under `spark.sql.streaming.metricsEnabled`:
https://spark.apache.org/docs/4.2.0/structured-streaming-programming-guide.html
"""


def simulator(settings: Settings) -> Service:
    """`penstock simulate`: the API that the pipeline asks when no other is set."""
    port, given = settings.ports.simulator, SettingsFile("simulator", settings.with_credentials_of())
    return Service(
        name="simulator",
        command=_command("simulate"),
        log=_log(settings, "simulator"),
        folder=settings.home / "run" / "simulator",
        environment=given.environment,
        ports={"api": port},
        after=beneath_the_stream(settings),
        prepare=given.write,
        probe=partial(_answers, port, "/api/?results=1"),
        page=f"http://{LOOPBACK}:{port}/api/?results=1",
    )


def stream(settings: Settings, java: Java) -> Service:
    """`penstock stream`: the driver of the streaming app; ready once its queries run on the local master.

    A query that fails does not make it unready, as long as another one runs: a restart would stop that one too.
    """
    ports = _ports_of_a_driver(settings)
    port = ports["ui"]
    given = SettingsFile("stream", settings)
    report, shared = _report_of(settings), application_classes(settings, java)

    def prepare() -> None:
        known = as_principal(settings, Principal.STREAM)  # now, for a password may have been rotated
        replace(given, settings=known.with_credentials_of("kafka", "cassandra", "spark")).write()
        report.unlink(missing_ok=True)  # of a former life

    return Service(
        name="stream",
        command=_command("--verbose", "stream", "--report", str(report)),
        log=_log(settings, "stream"),
        folder=settings.home / "run" / "stream",
        environment={
            **pipeline_environment(settings),
            **given.environment,
            **driver_environment(settings, java),
            LOADED: str(shared.loaded("stream")),
        },
        ports=ports,
        prepare=prepare,
        needs=("spark-master", *beneath_the_stream(settings)),
        probe=partial(_runs_its_queries, port, report),
        afterwards=shared.command,
        # Spark, its executor and the first plan: the slowest start of all, and on two busy cores a minute of it.
        start_timeout_s=240,
        page=f"http://{LOOPBACK}:{port}/StreamingQuery/",
    )


def console(settings: Settings) -> Service:
    """`penstock console`: the page about everything. It waits for nobody, for it also shows how the others come up."""
    port = settings.ports.console
    given = SettingsFile("console", settings)

    def prepare() -> None:
        known = as_principal(with_credentials(settings), Principal.CONSOLE)
        needed = known.with_credentials_of("kafka", "cassandra", "airflow", "console")
        replace(given, settings=needed).write()

    return Service(
        name="console",
        command=_command("console"),
        log=_log(settings, "console"),
        folder=settings.home / "run" / "console",
        environment={**pipeline_environment(settings), **given.environment},
        ports={"page": port},
        prepare=prepare,
        probe=partial(_answers, port, "/healthz"),
        stop_timeout_s=10,
        page=f"http://{LOOPBACK}:{port}/",
    )


def _ports_of_a_driver(settings: Settings) -> dict[str, int]:
    """Its page's, and those that `spark.conf` gives it a fixed number of; Spark draws the others."""
    conf = {name: int(value) for name, value in settings.spark.conf.items() if value.isascii() and value.isdigit()}
    ports = {
        "ui": conf.get("spark.ui.port", settings.ports.spark_driver_ui),
        "driver": conf.get("spark.driver.port", 0),
        "blocks": conf.get("spark.driver.blockManager.port", conf.get("spark.blockManager.port", 0)),
    }
    return {name: port for name, port in ports.items() if port}


def _command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "penstock", *arguments)


def _log(settings: Settings, name: str) -> Path:
    return settings.home / "logs" / f"{name}.log"


def _answers(port: int, path: str) -> None:
    json_answer(port, path)


def _runs_its_queries(ui_port: int, report: Path) -> None:
    if not queries(ui_port):
        raise NotReady(f"Spark answers on port {ui_port}, but no streaming query runs yet")
    starting = [name for name, one in _reported(report)["pipelines"].items() if one["state"] == "starting"]
    if starting and not _reported(report)["ready"]:
        raise NotReady(f"these pipelines are still starting: {', '.join(starting)}")


def queries(ui_port: int, host: str = LOOPBACK) -> set[str]:
    """The pipelines whose query runs, as the driver's page says.

    Raises:
        NotReady: no driver answers there.
    """
    gauges = json_answer(ui_port, "/metrics/json/", host).get("gauges", {})
    # Named <application>.driver.spark.streaming.<query>.<gauge>
    return {name.partition(_STREAM_GAUGE)[2].partition(".")[0] for name in gauges if _STREAM_GAUGE in name}


@dataclass(frozen=True)
class PipelineState:
    """How a pipeline of the running stream stands, by its own report (`stream.report`)."""

    name: str
    state: str
    since: datetime
    error: str

    @property
    def is_well(self) -> bool:
        return self.state in ("starting", "running")


def pipelines(settings: Settings) -> list[PipelineState]:
    """The state of each pipeline, as the stream of this home last reported it; none where it never did."""
    found = _reported(_report_of(settings))["pipelines"]
    return [
        PipelineState(name, **{**one, "since": datetime.fromisoformat(one["since"])}) for name, one in found.items()
    ]


def failures(settings: Settings) -> dict[str, str]:
    """Pipeline -> why the stream of this home last said that it does not carry it."""
    return {one.name: one.error for one in pipelines(settings) if not one.is_well}


def _report_of(settings: Settings) -> Path:
    return settings.home / "run" / "stream" / "pipelines.json"


def _reported(report: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(report.read_text("utf-8"))
    except (OSError, ValueError):
        return {"ready": True, "pipelines": {}}
    return found
