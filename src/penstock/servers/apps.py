"""Our own commands as services: the simulator of the users API, the streaming app, and the console."""

import sys
from functools import partial
from pathlib import Path

from penstock.config import LOOPBACK, Settings, pipeline_environment
from penstock.launcher.service import NotReady, Service
from penstock.launcher.settings_file import SettingsFile
from penstock.servers.java import Java
from penstock.servers.nodes import brokers, cassandras, names, workers
from penstock.servers.probe import json_answer
from penstock.servers.secrets import with_credentials
from penstock.servers.spark import driver_environment

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
        prepare=given.write,
        probe=partial(_answers, port, "/api/?results=1"),
        page=f"http://{LOOPBACK}:{port}/api/?results=1",
    )


def stream(settings: Settings, java: Java) -> Service:
    """`penstock stream`: the driver of the streaming app; ready once its query runs on the local master."""
    ports = _ports_of_a_driver(settings)
    port = ports["ui"]
    given = SettingsFile("stream", settings.with_credentials_of("kafka", "cassandra", "spark"))
    return Service(
        name="stream",
        command=_command("--verbose", "stream"),
        log=_log(settings, "stream"),
        folder=settings.home / "run" / "stream",
        environment={**pipeline_environment(settings), **given.environment, **driver_environment(settings, java)},
        ports=ports,
        prepare=given.write,
        needs=("spark-master", *names((*brokers(settings), *cassandras(settings), *workers(settings)))),
        probe=partial(_runs_a_query, port),
        # Spark, its executor and the first plan: the slowest start of all, and on two busy cores a minute of it.
        start_timeout_s=240,
        page=f"http://{LOOPBACK}:{port}/StreamingQuery/",
    )


def console(settings: Settings) -> Service:
    """`penstock console`: the page about everything. It waits for nobody, for it also shows how the others come up."""
    port = settings.ports.console
    known = with_credentials(settings).with_credentials_of("kafka", "cassandra", "airflow", "console")
    given = SettingsFile("console", known)
    return Service(
        name="console",
        command=_command("console"),
        log=_log(settings, "console"),
        folder=settings.home / "run" / "console",
        environment={**pipeline_environment(settings), **given.environment},
        ports={"page": port},
        prepare=given.write,
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


def _runs_a_query(ui_port: int) -> None:
    gauges = json_answer(ui_port, "/metrics/json/")["gauges"]
    if not any(_STREAM_GAUGE in name for name in gauges):
        raise NotReady(f"Spark answers on port {ui_port}, but no streaming query runs yet")
