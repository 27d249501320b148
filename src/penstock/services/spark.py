"""Spark's standalone master and worker, from the jars in the pyspark wheel.

The streaming app is a client of both. Any of the three may be killed and started again: a master finds worker and app
in its recovery folder, a worker registers anew and the app gets an executor on it, an app goes on at its checkpoint.
"""

import sys
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penstock.config import Settings
from penstock.errors import ServiceError
from penstock.services.java import Java
from penstock.services.probe import HOST, json_answer
from penstock.services.spec import NotReady, Service

# What Spark's own launcher gives every JVM for Netty, `JavaModuleOptions` of 4.2.0. Of that class's long list of opened
# packages a master and a worker need none; the executors get them from the driver.
_NETTY = ("-Dio.netty.tryReflectionSetAccessible=true", "-Dio.netty.allocator.type=pooled")

# A master and a worker are idle once they run, so the second compiler only costs: without it each was ready after 1.7 s
# instead of 3.7 s, with 1.7 s of CPU instead of 3.2 s and 148 MB instead of 168 MB (docs/decisions/012).
_SMALL = ("-Xms16m", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")

# Names and units: https://spark.apache.org/docs/4.2.0/spark-standalone.html
_MASTER: Mapping[str, str] = {
    "spark.deploy.recoveryMode": "FILESYSTEM",
    # Seconds a restarted master waits for a worker or app that is gone too; nothing is scheduled meanwhile.
    "spark.deploy.recoveryTimeout": "5",
    "spark.deploy.retainedApplications": "10",
    "spark.ui.killEnabled": "false",
    "spark.master.rest.enabled": "false",
}
_WORKER: Mapping[str, str] = {
    # Seconds. Each app leaves its jars and logs here; a stream that restarts in a loop must not fill the disk.
    "spark.worker.cleanup.enabled": "true",
    "spark.worker.cleanup.interval": "300",
    "spark.worker.cleanup.appDataTtl": "600",
    "spark.worker.ui.retainedExecutors": "10",
    "spark.executor.logs.rolling.strategy": "size",
    "spark.executor.logs.rolling.maxSize": str(10 * 1024 * 1024),
    "spark.executor.logs.rolling.maxRetainedFiles": "3",
    # In place of 5 to 15 s between two attempts to reach the master, the configured address is used at once.
    "spark.worker.preferConfiguredMasterAddress": "true",
}


def spark_master(settings: Settings, java: Java) -> Service:
    """The standalone master, on loopback only."""
    ports = settings.ports
    recovery = settings.home / "data" / "spark" / "recovery"
    options = {**_MASTER, "spark.deploy.recoveryDirectory": str(recovery)}
    arguments = ("--host", HOST, "--port", str(ports.spark_master), "--webui-port", str(ports.spark_master_ui))
    return Service(
        name="spark-master",
        command=_command(java, "master.Master", settings.heaps.spark_master, options, arguments),
        log=settings.home / "logs" / "spark-master.log",
        folder=settings.home / "run" / "spark-master",
        environment=driver_environment(settings, java),
        ports={"rpc": ports.spark_master, "ui": ports.spark_master_ui},
        prepare=partial(recovery.mkdir, parents=True, exist_ok=True),
        probe=partial(_alive_master, ports.spark_master_ui),
        page=f"http://{HOST}:{ports.spark_master_ui}",
    )


def spark_worker(settings: Settings, java: Java) -> Service:
    """The one worker of the local master, with room for one executor of the streaming app."""
    ports = settings.ports
    arguments = (
        *("--host", HOST, "--port", str(ports.spark_worker), "--webui-port", str(ports.spark_worker_ui)),
        *("--cores", str(settings.spark.executor_cores), "--memory", settings.heaps.spark_executor),
        *("--work-dir", str(settings.home / "data" / "spark" / "work")),
        f"spark://{HOST}:{ports.spark_master}",
    )
    return Service(
        name="spark-worker",
        command=_command(java, "worker.Worker", settings.heaps.spark_worker, _WORKER, arguments),
        log=settings.home / "logs" / "spark-worker.log",
        folder=settings.home / "run" / "spark-worker",
        environment=driver_environment(settings, java),
        ports={"rpc": ports.spark_worker, "ui": ports.spark_worker_ui},
        needs=("spark-master",),
        probe=partial(_registered_worker, ports.spark_master_ui, ports.spark_worker_ui),
        page=f"http://{HOST}:{ports.spark_worker_ui}",
    )


def driver_environment(settings: Settings, java: Java) -> dict[str, str]:
    """What a Python process needs so that pyspark starts its JVM with our Java and on loopback."""
    return {
        "JAVA_HOME": str(java.home),
        "SPARK_HOME": str(spark_home()),
        # A worker that builds an executor's command wants it, as `load-spark-env.sh` of 4.2.0 sets it.
        "SPARK_SCALA_VERSION": "2.13",
        # Binds the web pages too, which know no `--host`.
        "SPARK_LOCAL_IP": HOST,
        # Not the user's: what the stack does depends on our settings only.
        "SPARK_CONF_DIR": str(settings.home / "run" / "spark-conf"),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        # Of glibc's memory pools, one per thread and core otherwise.
        "MALLOC_ARENA_MAX": "2",
    }


def spark_home() -> Path:
    """The folder of the pyspark package, found without importing it."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ServiceError("the package pyspark is not installed; run scripts/setup")
    return Path(spec.origin).parent


def _command(
    java: Java, main: str, heap: str, options: Mapping[str, str], arguments: tuple[str, ...]
) -> tuple[str, ...]:
    return java.command(
        f"org.apache.spark.deploy.{main}",
        [spark_home() / "jars" / "*"],
        heap,
        (*_SMALL, *_NETTY, *(f"-D{name}={value}" for name, value in options.items())),
        arguments,
    )


def _alive_master(ui_port: int) -> None:
    state = json_answer(ui_port, "/json/").get("status")
    if state != "ALIVE":
        raise NotReady(f"the master says it is {state}")


def _registered_worker(master_ui_port: int, worker_ui_port: int) -> None:
    # The worker's own name for itself: the master may still list the one that was killed on this port.
    worker = json_answer(worker_ui_port, "/json/")["id"]
    workers: list[Any] = json_answer(master_ui_port, "/json/")["workers"]
    if not any(entry["id"] == worker and entry["state"] == "ALIVE" for entry in workers):
        raise NotReady(f"the master does not list {worker} as alive; it lists {[entry['id'] for entry in workers]}")
