"""Consoles over pictures that a test made: the real app on a real port, without the servers behind it."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette

from penstock.airflow import DagRun, TaskState
from penstock.audit.ledger.reconcile import balance_of_counts
from penstock.audit.letters import Letter
from penstock.audit.overview import Overview, PipelinePart, RefusedPart
from penstock.audit.records import Sent
from penstock.audit.trace import Occurrence, Trace
from penstock.cassandra import Report, Row, RunCounts, Tally
from penstock.config import ConsoleSettings, Ports, Settings
from penstock.console.app import app
from penstock.console.desk import Desk, LetterPage, LettersPage, RunPage, TracePage
from penstock.console.history import History
from penstock.console.marking import editable, pieces
from penstock.console.server import Server
from penstock.doctor import Finding, Grade
from penstock.kafka import Received
from penstock.launcher.control import Phase, ServiceState, StackState
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.record import Reason, Rejected, from_bytes
from penstock.users import USERS
from rig.stacks import free_ports
from tests.pictures import AT
from tests.topics import Kafka
from tests.waiting import until

TOKEN = "the-token-of-this-test"
OTHERS = USERS.model_copy(update={"name": "others", "topic": "others", "table": "others"})
SERVICES = (ServiceState(name="kafka", state=Phase.RESTARTING, ports={"outside": 9092}, log=Path("log"), restarts=3),)


class Looks:
    """An observer that sees what a test lets it see."""

    def __init__(self, *parts: PipelinePart, refused: Sequence[RefusedPart] = ()) -> None:
        self.parts: Sequence[PipelinePart] = parts
        self.refused = refused

    @property
    def pipelines(self) -> dict[str, Pipeline]:
        names = {part.name for part in self.parts}
        return {each.name: each for each in (USERS, OTHERS) if each.name in names}

    def look(self) -> Overview:
        return Overview(at=AT, pipelines=tuple(self.parts), refused=tuple(self.refused), services=SERVICES)


EVIL = "<script>alert(1)</script>\u202e\u0007 علی"
"""Text of others that does no harm in a page."""
VALUE = json.dumps({"id": EVIL, "email": 7, "username": "u"}, ensure_ascii=False).encode()


class FakeDesk(Desk):
    """Has as many letters as a test says, all alike, and one run; asks no server."""

    def __init__(self, settings: Settings, count: int) -> None:
        super().__init__(settings)
        self._count = count

    async def letters(
        self, pipeline: Pipeline, reason: str | None, run: str | None, resolved: bool, skip: int, most: int
    ) -> LettersPage:
        last = min(self._count, skip + most)
        shown = [letter_of(number) for number in range(skip, last)]
        return LettersPage(shown, self._count, {Reason.WRONG_TYPE: self._count})

    async def letter(self, pipeline: Pipeline, identity: str) -> LetterPage:
        letter = letter_of(int(identity, 16))
        message = Received(pipeline.dead_letter_topic, 0, 7, b"key", VALUE, {}, 0)
        shown = pieces(VALUE, letter.reason, letter.message)
        return LetterPage(letter, message, shown, editable(VALUE), pipeline.json_schema())

    async def judged(self, pipeline: Pipeline, identity: str, value: bytes) -> str:
        record = from_bytes(pipeline, value)
        return record.message if isinstance(record, Rejected) else ""

    def run(self, pipeline: Pipeline, run: str) -> RunPage:
        counts = RunCounts(run, {"a": Report(100, 100, 0, AT, {})}, {"a": Tally(100, 2)}, 0, AT)
        sent = [Sent(0, 7, AT, "1/0", EVIL, ""), Sent(0, 8, AT, "1/1", "", EVIL)]
        logs = {"streaming_task": EVIL}
        dag_run = DagRun("user_info", run, "success", (TaskState("streaming_task", "success", 2),))
        return RunPage(counts, balance_of_counts(counts, {}), sent, dag_run, logs, "")

    async def trace(self, pipeline: Pipeline, wanted: str) -> TracePage:
        message = Occurrence(0, 7, AT, "r", "1/0", EVIL, "", AT, None, 3)
        row = Row({"id": "x", "first_name": EVIL}, {})
        return TracePage(Trace(wanted, (message,), (row,), (letter_of(1),), "one message"), "")

    def services(self) -> StackState:
        return StackState(home=Path("home"), supervisor_pid=1, services=SERVICES)

    def log(self, service: str) -> list[str]:
        return [EVIL] * 300

    async def findings(self, *, anew: bool) -> list[Finding]:
        return [
            Finding("kafka", Grade.FAILED, EVIL, EVIL),
            Finding("java", Grade.OK, "17"),
            Finding("x", Grade.NOTE, ""),
        ]


def letter_of(number: int) -> Letter:
    """One of the letters of a `FakeDesk`."""
    return Letter(f"{number:064x}", Reason.WRONG_TYPE, f"email: {EVIL}", EVIL, "t/0/7", AT.isoformat(), None, None)


@dataclass(frozen=True)
class Console:
    """One that serves."""

    url: str
    looks: Looks
    server: Server

    def stop(self) -> None:
        """Has it end, as a console that dies does."""
        self.server.should_exit = True

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def serving(
    folder: Path,
    *parts: PipelinePart,
    letters: int = 3,
    topic: Kafka | None = None,
    refused: Sequence[RefusedPart] = (),
    **console: object,
) -> Iterator[Console]:
    """A console that sees these pipelines and declarations that are refused, with these settings of its section, and
    with so many letters that are all alike, or those of a topic.
    """
    [port] = free_ports(1)
    settings = Settings(
        home=folder, ports=Ports(console=port), console=ConsoleSettings.model_validate(console)
    ).resolved()
    looks = Looks(*parts, refused=refused)
    desk = Desk(settings, lambda _: nullcontext(topic)) if topic else FakeDesk(settings, letters)
    with (
        closing(History(folder / "history.sqlite")) as history,
        in_thread(app(settings, looks, history, TOKEN, desk=desk), port) as server,
    ):
        yield Console(f"http://127.0.0.1:{port}", looks, server)


@contextmanager
def in_thread(made: Starlette, port: int) -> Iterator[Server]:
    """The app, served as long as the block runs; it listens when the block begins."""
    server = Server(made, "127.0.0.1", port)
    thread = threading.Thread(target=server.run, name="console")
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive(), "the console listens")
        yield server
    finally:
        server.should_exit = True
        thread.join()
