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

from penstock.config import LOOPBACK, Settings
from penstock.launcher.home import Home
from penstock.launcher.service import NotReady, Service
from penstock.launcher.state import write
from penstock.servers import jars
from penstock.servers.access import SPARK_OPTIONS, spark_secret
from penstock.servers.archives import Archive, archive
from penstock.servers.jars.own import own_jar, place
from penstock.servers.java import ARCHIVE, LAUNCHERS_ARCHIVE, LOADED, Java, properties
from penstock.servers.nodes import Node, workers
from penstock.servers.probe import json_answer

SCALA = "2.13"
"""The Scala line of the pyspark wheel's jars, and so of all that Spark loads beside them."""

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

_SLOTS = 64
"""Tasks at a time that a worker offers: a number, no cores. How many the executor has is the app's choice."""


def spark_master(settings: Settings, java: Java) -> Service:
    """The standalone master."""
    ports, shared = settings.ports, classes(settings, java)
    recovery = settings.home / "data" / "spark" / "recovery"
    options = {**_MASTER, "spark.deploy.recoveryDirectory": str(recovery)}
    arguments = (
        *("--host", settings.hosts.spark_master, "--port", str(ports.spark_master)),
        *("--webui-port", str(ports.spark_master_ui)),
    )
    return Service(
        name="spark-master",
        command=java.command(
            "org.apache.spark.deploy.master.Master",
            shared.jars,
            settings.heaps.spark_master,
            (*_options(options), *shared.options("spark-master")),
            (*_proof(settings), *arguments),
        ),
        log=settings.home / "logs" / "spark-master.log",
        folder=settings.home / "run" / "spark-master",
        environment=driver_environment(settings, java),
        ports={"rpc": ports.spark_master, "ui": ports.spark_master_ui},
        prepare=partial(_prepare, settings, recovery),
        probe=partial(_alive_master, ports.spark_master_ui),
        afterwards=shared.command,
        page=f"http://{LOOPBACK}:{ports.spark_master_ui}",
    )


def spark_worker(settings: Settings, java: Java, node: Node | None = None) -> Service:
    """A worker of the local master, with room for one executor of the streaming app."""
    node, ports, shared = node or workers(settings)[0], settings.ports, classes(settings, java)
    arguments = (
        *_proof(settings),
        *("--host", node.host, "--port", str(ports.spark_worker)),
        *("--webui-port", str(ports.spark_worker_ui)),
        *("--cores", str(settings.spark.executor_cores or _SLOTS), "--memory", settings.heaps.spark_executor),
        *("--work-dir", str(settings.home / "data" / "spark" / node.name.replace("spark-worker", "work"))),
        f"spark://{settings.hosts.spark_master}:{ports.spark_master}",
    )
    return Service(
        name=node.name,
        command=java.command(
            "org.apache.spark.deploy.worker.Worker",
            shared.jars,
            settings.heaps.spark_worker,
            (*_options(_WORKER), *shared.options(node.name)),
            arguments,
        ),
        log=settings.home / "logs" / f"{node.name}.log",
        folder=settings.home / "run" / node.name,
        environment={
            **driver_environment(settings, java),
            "SPARK_LOCAL_IP": node.listen,
            # Its executors inherit it.
            LOADED: str(application_classes(settings, java).loaded(node.name, "executor-")),
        },
        host=node.here,
        ports={"rpc": ports.spark_worker, "ui": ports.spark_worker_ui},
        needs=("spark-master",),
        prepare=partial(_prepare, settings),
        probe=partial(_registered_worker, settings, node),
        afterwards=shared.command,
        page=f"http://{node.here}:{ports.spark_worker_ui}",
    )


def _secret_file(settings: Settings) -> Path:
    """Options of master and worker that no command line may hold; an executor gets the secret from its worker."""
    return Home(settings.home).settings / "spark.properties"


def _proof(settings: Settings) -> tuple[str, ...]:
    return ("--properties-file", str(_secret_file(settings))) if settings.stack.secure else ()


def _prepare(settings: Settings, *folders: Path) -> None:
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    if settings.stack.secure:
        file = _secret_file(settings)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(file, properties({**SPARK_OPTIONS, "spark.authenticate.secret": spark_secret(settings)}))


def driver_environment(settings: Settings, java: Java) -> dict[str, str]:
    """The environment in which pyspark starts its JVM with our Java, listening at the address of the settings."""
    shared = application_classes(settings, java) if settings.has_own_master else classes(settings, java)
    return {
        "JAVA_HOME": str(java.home),
        LAUNCHERS_ARCHIVE: str(classes(settings, java).file),
        ARCHIVE: str(shared.file),
        "SPARK_HOME": str(spark_home()),
        # A worker that builds an executor's command wants it, as `load-spark-env.sh` of 4.2.0 sets it.
        "SPARK_SCALA_VERSION": SCALA,
        # Binds the web pages too, which know no `--host`.
        "SPARK_LOCAL_IP": settings.stack.listen,
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
        raise ModuleNotFoundError("No module named 'pyspark'", name="pyspark")
    return Path(spec.origin).parent


def jars_of_pyspark() -> list[Path]:
    """Spark's own jars, sorted."""
    return sorted((spark_home() / "jars").glob("*.jar"))


def application_jars(settings: Settings, java: Java) -> tuple[Path, ...]:
    """The jars that Spark loads for the stream beside its own: the connectors, and our sink, compiled if needed.

    The jars must have been fetched.
    """
    own_jar(jars.folder(settings), java, jars_of_pyspark())
    return _application_jars(settings)


def _application_jars(settings: Settings) -> tuple[Path, ...]:
    return (*jars.classpath(settings, "spark"), place(jars.folder(settings)))


def classes(settings: Settings, java: Java) -> Archive:
    """What master, worker, and Spark's launcher share."""
    return archive(settings, java, "spark", [spark_home() / "jars" / "*"])


def application_classes(settings: Settings, java: Java) -> Archive:
    """What driver and executors of the local stack share: Spark's classes and, behind them, the application's."""
    folder = spark_home() / "jars"
    # Spark's launcher names this jar before all others; Java takes no archive of jars in another order.
    first = sorted(folder.glob("slf4j-api-*.jar"))
    return archive(settings, java, "application", [*first, folder / "*", *_application_jars(settings)])


def _options(properties: Mapping[str, str]) -> tuple[str, ...]:
    return (*_SMALL, *_NETTY, *(f"-D{name}={value}" for name, value in properties.items()))


def _alive_master(ui_port: int) -> None:
    state = json_answer(ui_port, "/json/").get("status")
    if state != "ALIVE":
        raise NotReady(f"the master says it is {state}")


def _registered_worker(settings: Settings, node: Node) -> None:
    # The worker's own name for itself: the master may still list the one that was killed on this port.
    worker = json_answer(settings.ports.spark_worker_ui, "/json/", node.here)["id"]
    workers: list[Any] = json_answer(settings.ports.spark_master_ui, "/json/", settings.hosts.spark_master)["workers"]
    if not any(entry["id"] == worker and entry["state"] == "ALIVE" for entry in workers):
        raise NotReady(f"the master does not list {worker} as alive; it lists {[entry['id'] for entry in workers]}")
