"""The application: Spark's session, a query for each of the project's pipelines, and its life until it is told to stop.

What each pipeline goes through is in `stream.carrier`, its query in `stream.query`.
"""

import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from pyspark.sql import SparkSession

from penstock.config import Settings
from penstock.errors import ConfigError, ContractError, PenstockError, StalledError, StreamError
from penstock.pipelines.project import Declaration, declarations, stamp
from penstock.stream.carrier import Carrier, Driver
from penstock.stream.connectors.cassandra import spark_conf
from penstock.stream.epochs import Seams
from penstock.stream.failures import FOREIGN, first_cause, is_local
from penstock.stream.jvm import REDACTION, SECRET, launch, let_java_call
from penstock.stream.query import LOOK_S
from penstock.stream.report import Standing, State, report

log = logging.getLogger(__name__)

_DECLARATIONS_S = 5.0
"""Between two looks at the project's files."""
_WHAT_NOW = {
    State.FAILING: "is attempted again while another one runs",
    State.FAILED: "stays so until the stream is started again or its declaration is changed",
}
CLASS_PATH = "SPARK_DIST_CLASSPATH"
"""What Spark's launcher puts behind Spark's own jars, for a driver and for an executor."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The serial collector needs the least memory on few cores, and a JVM out of memory must end, not linger. Without -Xms
# a heap begins with a 64th of the machine's memory.
_JVM = "-Xss512k -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError"
# The driver plans and waits: the second compiler would cost it more than it gains.
_DRIVER_JVM = f"{_JVM} -Xms64m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 -XX:TieredStopAtLevel=1"
# What an executor allocates dies with the row or with its batch, in a young generation that holds what is in flight.
EXECUTOR_JVM = f"{_JVM} -Xms128m -Xmn256m"
# One app, no shuffle: small on purpose. https://spark.apache.org/docs/4.2.0/configuration.html
_FIXED = {
    "spark.driver.extraJavaOptions": _DRIVER_JVM,
    "spark.executor.extraJavaOptions": EXECUTOR_JVM,
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "false",
    "spark.eventLog.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # The page asks nobody who calls, and a GET that any other web page has a browser send would end a job.
    "spark.ui.killEnabled": "false",
    "spark.ui.retainedJobs": "50",
    "spark.ui.retainedStages": "50",
    "spark.ui.retainedTasks": "500",
    "spark.sql.ui.retainedExecutions": "20",
    "spark.sql.streaming.ui.retainedProgressUpdates": "50",
    # Each micro-batch describes its plan for the page; the default form takes twice as long.
    "spark.sql.ui.explainMode": "simple",
    # The gauges by which the launcher sees that the query runs.
    "spark.sql.streaming.metricsEnabled": "true",
    # Without new data Kafka is asked again after this; Spark's own 10 ms keep a core warm for nothing.
    "spark.sql.streaming.pollingDelay": "100ms",
    # Real-time mode knows two sinks by name; ours does what it asks for (docs/decisions/260).
    "spark.sql.streaming.realTimeMode.allowlistCheck": "false",
    "spark.sql.streaming.realTimeMode.minBatchDuration": "1s",
    REDACTION: SECRET,
    # A second driver would find the port of the page taken and work on the same checkpoint: it shall end instead.
    "spark.port.maxRetries": "0",
}


# Spark's own choice asks the system's `readlink`, a process, for each file that it renames: 20 ms, twice a micro-batch.
_LOCAL_CHECKPOINT = {
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    )
}


@dataclass(frozen=True)
class Options:
    """The choices of the caller of a stream."""

    only: str = ""
    """The name of the one pipeline that is carried; empty means all."""
    report: Path | None = None
    """A file that says how each pipeline stands: JSON, written anew at each change."""
    at_once: bool = False
    """Whether Spark starts while topics and tables are still looked at, or only when they are sound."""


def run(settings: Settings, jars: Sequence[Path], seams: Seams | None = None, options: Options | None = None) -> None:
    """Carries the records of every pipeline of the project until SIGTERM or SIGINT; see `Application`.

    An epoch that they interrupt is done again after a restart. Makes topics and tables where they are absent. The
    environment must name a Java 17 (`JAVA_HOME`), and the main thread must be the caller's: it is where signals arrive.
    `seams` are for tests.

    Raises:
        ContractError: no declaration of the project is sound.
        StreamError: Spark could not be started, or a query ended by itself and none runs any more.
        BrokerError, StoreError: the same; topics or table could not be made, or are not what the declaration needs.
    """
    with stop_requests() as stopping:
        Application(settings, jars, seams or Seams(), options or Options()).run(stopping)
    log.info("stopped")


class Application:
    """One driver, in which each pipeline of the project has a query of its own.

    A query that ends by itself is attempted again while another one runs; the others carry on. Declarations that are
    added, changed or removed meanwhile are taken up; while one is broken, nothing is stopped for its sake.
    """

    def __init__(self, settings: Settings, jars: Sequence[Path], seams: Seams, options: Options) -> None:
        self._settings, self._seams, self._options = settings, seams, options
        self._driver = Driver(lambda: session(settings, self._name(), jars, len(self._wanted)))
        self._wanted: dict[str, Declaration] = {}
        self._refused: dict[str, Standing] = {}
        self._carriers: dict[str, Carrier] = {}
        self._stamp: object = None
        self._look_at_s = 0.0
        self._told: dict[str, Standing] = {}
        self._ready = False
        self._reported = ""

    def run(self, stopping: Event) -> None:
        """Returns when a stop was requested and nothing of Spark runs any more; raises what ended it otherwise."""
        self._look()
        if not self._wanted:
            raise ContractError(" ".join(each.error for each in self._refused.values()))
        if self._options.at_once:
            self._driver.warm()
        try:
            while not stopping.is_set():
                self._watch()
                stopping.wait(LOOK_S)
        except StalledError:
            raise  # stopping would wait for what waits; the JVM ends with this process
        except BaseException:
            self._stop()
            raise
        self._stop()

    def _name(self) -> str:
        return " + ".join(dict.fromkeys(each.pipeline.app_name for each in self._wanted.values() if each.pipeline))

    def _watch(self) -> None:
        if time.monotonic() >= self._look_at_s:
            self._look()
        self._follow_declarations()
        carriers = self._carriers.values()
        if stalled := next((each.stalled for each in carriers if each.stalled), None):
            raise stalled
        self._ready = self._ready or not any(each.standing.state is State.STARTING for each in carriers)
        over = bool(carriers) and not any(each.at_work for each in carriers)
        self._report()
        if over:
            raise _ended({each.pipeline.name: each.failure for each in carriers if each.failure})
        self._tell()

    def _tell(self) -> None:
        """Logs each failure beside which others carry on; that of the last one is raised."""
        for name, carrier in self._carriers.items():
            now = carrier.standing
            if now.state in _WHAT_NOW and self._told.get(name) is not now:
                unforeseen = None if isinstance(carrier.failure, PenstockError) else carrier.failure
                log.error("pipeline %s ended, and %s: %s", name, _WHAT_NOW[now.state], now.error, exc_info=unforeseen)
            self._told[name] = now

    def _look(self) -> None:
        """Reads the declarations again if a file of theirs is another one, or one of them could not be read."""
        self._look_at_s = time.monotonic() + _DECLARATIONS_S
        now = stamp(self._settings)
        if now == self._stamp and not self._refused:
            return
        self._stamp = now
        try:
            found = declarations(self._settings)
        except (ConfigError, ContractError) as error:
            self._refuse({str(self._settings.project): error})
            return
        self._refuse({each.place: each.error for each in found if each.error})
        sound = {each.pipeline.name: each for each in found if each.pipeline}
        if self._options.only:
            sound = {name: each for name, each in sound.items() if name == self._options.only}
        known = {name: old for name, old in self._wanted.items() if old.is_still(sound.get(name))}
        # What is broken now may be what a query runs by: nothing is stopped until it can be read again.
        self._wanted = {**(self._wanted if self._refused else {}), **sound, **known}

    def _refuse(self, errors: Mapping[str, PenstockError]) -> None:
        """Keeps what is broken by its place, and logs what was not known to be."""
        known, self._refused = self._refused, {}
        for place, error in errors.items():
            if place in known and known[place].error == str(error):
                self._refused[place] = known[place]
            else:
                log.error("a declaration is refused; what it said before, if anything, goes on: %s", error)
                self._refused[place] = Standing(State.REFUSED, str(error))

    def _follow_declarations(self) -> None:
        """Has a carrier for each declaration, and stops those of declarations that are gone or others now."""
        for name, carrier in list(self._carriers.items()):
            if self._wanted.get(name) is not carrier.declaration:
                carrier.stop()
                if not carrier.alive:
                    del self._carriers[name]
        for name, declaration in self._wanted.items():
            if name not in self._carriers:
                self._carriers[name] = Carrier(declaration, self._settings, self._driver, self._seams)
                self._carriers[name].start()

    def _stop(self) -> None:
        for carrier in self._carriers.values():
            carrier.stop()
        for carrier in self._carriers.values():
            carrier.join()
        self._driver.stop()

    def _report(self) -> None:
        standings = {name: each.standing for name, each in self._carriers.items()}
        every = {**standings, **self._refused}
        self._reported = report(self._options.report, every, ready=self._ready, last=self._reported)


def _ended(failures: Mapping[str, Exception]) -> Exception:
    """Of one pipeline its own error, with its exit code."""
    if len(failures) == 1:
        return next(iter(failures.values()))
    return StreamError("no query runs any more. " + " ".join(f"{name}: {each}" for name, each in failures.items()))


def session(settings: Settings, name: str, jars: Sequence[Path], pipelines: int = 1) -> SparkSession:
    """The application of that name, for so many pipelines, on the master of the settings; starts the driver's JVM."""
    per_executor = _slots(settings, pipelines)
    cores = str(per_executor * settings.spark.executors)
    master = settings.spark.master
    options = {
        "spark.master": master,
        "spark.app.name": name,
        **_FIXED,
        **(_LOCAL_CHECKPOINT if is_local(settings.spark.checkpoint) else {}),
        **spark_conf(settings.cassandra, settings.home / "run" / "tls"),
        **_loaded(settings, jars),
        "spark.driver.memory": settings.heaps.spark_driver,
        "spark.executor.memory": settings.heaps.spark_executor,
        "spark.executor.cores": str(per_executor),
        "spark.cores.max": cores,
        "spark.executor.instances": str(settings.spark.executors),
        "spark.sql.shuffle.partitions": cores,
        "spark.ui.port": str(settings.ports.spark_driver_ui),
        "spark.driver.host": settings.hosts.stream,
        "spark.driver.bindAddress": settings.stack.listen,
        **settings.spark.conf,
    }
    try:
        launch(options)
        spark = SparkSession.builder.config(map={**options}).getOrCreate()
    except FOREIGN as error:
        raise StreamError(
            f"{name} could not start with spark.master {master}: {first_cause(error)}. Is the master up "
            f"(`penstock status`), is port {settings.ports.spark_driver_ui} free, does JAVA_HOME name a Java 17?"
        ) from error
    # By it the sink, which is in the driver's JVM, calls `Epochs`.
    let_java_call(spark)
    return spark


def _loaded(settings: Settings, jars: Sequence[Path]) -> dict[str, str]:
    """Options by which driver and executors have the jars: behind Spark's own, so that of two versions Spark's counts.

    Executors fetch them from the driver. On the local stack, where nearly always all read the same files, they are a
    part of the class path first, for only there does an archive of classes serve (docs/decisions/311).
    """
    fetched = {"spark.jars": ",".join(map(str, jars))}
    if not settings.has_own_master:
        return fetched
    behind = os.pathsep.join(map(str, jars))
    os.environ[CLASS_PATH] = behind  # of the driver's JVM, which begins in this environment
    return {**fetched, f"spark.executorEnv.{CLASS_PATH}": behind}


def _slots(settings: Settings, pipelines: int) -> int:
    """Of each executor: where the settings say nothing, as many as so many pipelines have partitions.

    On the local stack, where a slot is no core, with room for a pipeline that is added while the stream runs.
    """
    added = 1 if settings.has_own_master else 0
    return settings.spark.executor_cores or settings.kafka.partitions * (pipelines + added)


@contextmanager
def stop_requests() -> Iterator[Event]:
    """An event that SIGTERM and SIGINT set."""
    stopping = Event()
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    try:
        _listen(stopping)
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listen(stopping: Event) -> None:
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: stopping.set())
