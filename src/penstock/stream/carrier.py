"""Carries one pipeline: prepares it, starts its query, follows it, and attempts it again where that may help.

Each pipeline has a thread, so that what one waits for delays no other one.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Event, Lock, Thread
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from penstock.cassandra import Store
from penstock.config import Settings
from penstock.errors import BrokerError, PenstockError, StalledError, StreamError
from penstock.kafka import Broker
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import Declaration
from penstock.stream.epochs import Epochs, Seams, prepare
from penstock.stream.failures import FOREIGN, check_checkpoint, check_room, first_cause, is_final, only_one
from penstock.stream.mode import Mode, Modes, Room
from penstock.stream.progress import checkpoint
from penstock.stream.query import LOOK_S, Running
from penstock.stream.report import Standing, State
from penstock.waiting import BackOff

log = logging.getLogger(__name__)

_PARTITIONS_S = 3.0
"""How long Kafka is asked for the number of partitions, while the query runs on."""


class Driver:
    """Spark's session for all queries, opened by the first one that needs it, and the task slots that they share."""

    def __init__(self, open_session: Callable[[], SparkSession]) -> None:
        self._open = open_session
        self._lock = Lock()
        self._opened: SparkSession | PenstockError | None = None
        self._partitions: dict[str, int] = {}

    def warm(self) -> None:
        """Begins to open the session: the JVM starts while the queries' topics and tables are looked at."""
        Thread(target=self._opening, name="spark", daemon=True).start()

    def session(self) -> SparkSession:
        """One more session of the same application, with options of its own.

        Raises:
            StreamError: Spark could not be started, now or for another query.
        """
        opened = self._opening()
        if isinstance(opened, PenstockError):
            raise opened
        return opened.newSession()

    def _opening(self) -> SparkSession | PenstockError:
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = self._open()
                except PenstockError as error:
                    self._opened = error
            return self._opened

    def room(self, spark: SparkSession, pipeline: str, partitions: int | None) -> Room:
        """The slots of all executors against the partitions of all pipelines; None where it has as many as it had."""
        with self._lock:
            self._partitions[pipeline] = partitions or self._partitions.get(pipeline, 1)
            return Room(slots(spark), sum(self._partitions.values()))

    def leave(self, pipeline: str) -> None:
        """It needs no slots any more."""
        with self._lock:
            self._partitions.pop(pipeline, None)

    def stop(self) -> None:
        if isinstance(self._opened, SparkSession):
            try:
                self._opened.stop()
            except FOREIGN as error:
                log.warning("Spark was gone before it could be stopped: %s", first_cause(error))


def slots(spark: SparkSession) -> int:
    """How many tasks all living executors run at a time."""
    context: Any = spark.sparkContext._jsc.sc()
    return int(context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile()))


class Carrier:
    """Carries the records of one declaration until it is stopped, or its query ends for good."""

    def __init__(self, declaration: Declaration, settings: Settings, driver: Driver, seams: Seams) -> None:
        if declaration.pipeline is None:
            raise ValueError(f"{declaration.place} declares no pipeline")
        self.declaration = declaration
        self.pipeline: Pipeline = declaration.pipeline
        self.standing = Standing(State.STARTING)
        self.failure: Exception | None = None
        """Of the last attempt, if it failed."""
        self.at_work = True
        """False while it only waits for another attempt, and after the last one."""
        self._settings, self._driver, self._seams = settings, driver, seams
        self._spark: SparkSession | None = None
        self._stopping = Event()
        # A daemon: where an epoch waits for ever, the process has to end without it.
        self._thread = Thread(target=self._carry, name=self.pipeline.name, daemon=True)
        self.start, self.join = self._thread.start, self._thread.join

    def stop(self) -> None:
        """Asks for the end, which `join` waits for; an epoch under way is done again by whoever comes next."""
        self._stopping.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def stalled(self) -> StalledError | None:
        """The failure that only a new process gets out of, if that is what happened."""
        return self.failure if isinstance(self.failure, StalledError) else None

    def _carry(self) -> None:
        back_off = BackOff(first_s=5, longest_s=60)
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                self._attempt()
            except Exception as error:  # noqa: BLE001 - of a thread; the application raises it when it ends
                self.failure = error
            else:
                return
            if self._stopping.is_set():
                return
            may_pass = isinstance(self.failure, PenstockError) and not is_final(self.failure.__cause__ or self.failure)
            self.standing = Standing(State.FAILING if may_pass else State.FAILED, _text(self.failure))
            self.at_work = False
            if not may_pass or self.stalled:
                return
            self._stopping.wait(back_off.next_s(time.monotonic() - began_s))
            self.at_work = True

    def _attempt(self) -> None:
        """Returns when a stop was requested; raises what is wrong, or why the query ended by itself."""
        place = checkpoint(self._settings, self.pipeline)
        check_room(place)
        try:
            with only_one(place), Store(self._settings.cassandra) as store:
                check_checkpoint(place, self.pipeline)
                resources = prepare(self._settings, self.pipeline, store)
                with resources.broker:
                    self._run(Epochs(self.pipeline, self._settings, resources, self._stopping, self._seams))
        except FOREIGN as error:
            if not self._stopping.is_set():
                name = self.pipeline.name
                raise StreamError(f"{name}: the driver's JVM ended or is out of reach: {error}") from error
            log.warning("%s: Spark was gone before it could be stopped: %s", self.pipeline.name, first_cause(error))
        finally:
            self._driver.leave(self.pipeline.name)

    def _run(self, epochs: Epochs) -> None:
        spark = self._spark = self._spark or self._driver.session()
        kafka = self._settings.kafka.model_copy(update={"delivery_timeout_s": _PARTITIONS_S})
        with Broker(kafka) as broker:
            look = partial(self._room, spark, broker)
            modes = Modes(Mode(self._settings.spark.mode), look, self.pipeline.name)
            Running(spark, epochs, modes).until_stopped(partial(self._started, spark, epochs))

    def _room(self, spark: SparkSession, broker: Broker) -> Room:
        partitions = None
        with suppress(BrokerError):
            partitions = broker.partitions(self.pipeline.topic)
        return self._driver.room(spark, self.pipeline.name, partitions)

    def _started(self, spark: SparkSession, epochs: Epochs, query: StreamingQuery) -> None:
        """Notes where the stream begins, if that is to be noted, before it is said that it runs."""
        if self._settings.spark.starting_offsets == "latest":
            while query.isActive and not epochs.note_beginning(spark, str(query.id)):
                if self._stopping.wait(LOOK_S):
                    return
        self.standing = Standing(State.RUNNING)


def _text(failure: Exception) -> str:
    return str(failure) if isinstance(failure, PenstockError) else repr(failure)
