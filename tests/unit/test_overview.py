"""The overview without servers: what is remembered between looks, what is made of the answers, and the sentence."""

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from penstock.audit.overview import Observer, Overview, ProjectObserver, Standing, State, called, lasting
from penstock.audit.overview.asked import Answer, Asked
from penstock.audit.overview.checkpoint import position
from penstock.audit.overview.compose import phase, standing
from penstock.audit.overview.facts import Counted, Held
from penstock.audit.overview.memory import OfPipeline, Passed, Silences
from penstock.audit.overview.reasons import NEWEST, Reasons
from penstock.cassandra import Report, RunCounts
from penstock.config import Ports, Settings
from penstock.errors import StoreError
from penstock.kafka import Offsets, Received
from penstock.launcher.control import Phase, ServiceState
from penstock.pipelines.record import Header, Reason, letter_id
from penstock.users import USERS
from rig.stacks import free_ports
from tests.declared import declare
from tests.pictures import ABSENT, AT, DONE, RUN, SETTINGS, TOPIC, counted, held, picture, scheduled, silent
from tests.waiting import TIMEOUT_S, until


def test_nothing_on_its_way() -> None:
    seen = picture(held((0, 100)), DONE)
    assert (seen.state, seen.cassandra.stored, seen.letters.dead_lettered) == (State.IDLE, 98, 2)
    assert seen.sentence == (
        "Nothing is on its way, and nothing is missing: of 1 run, 98 items are rows; 2 are dead letters; "
        "the next run begins in 10 h."
    )


def test_run_that_arrives() -> None:
    seen = picture(held((0, 12_345)), counted(11_243, 12_345, {0: 11_242}, rejected=39))
    assert (seen.state, seen.kafka.waiting, seen.runs[0].in_flight) == (State.FLOWING, 1_102, 1_102)
    assert seen.sentence == (
        "Run of 27 Nov is arriving: 11,204 of 12,345 are rows, 39 are dead letters; 1,102 records wait in Kafka; "
        "nothing is lost."
    )


def test_several_runs_that_arrive_are_added_up() -> None:
    [one] = counted(10, 20, {0: 19}).runs
    both = Counted({TOPIC: {0: 19}}, (one, replace(one, run="other")))
    seen = picture(held((0, 40)), replace(both, runs=tuple(replace(run, reports=later(run)) for run in both.runs)))
    assert seen.sentence.startswith("2 runs are arriving: 20 of 40 are rows; 20 records wait")


def later(run: RunCounts) -> dict[str, Report]:
    """Its reports, with last messages that the stream has not passed."""
    return {name: replace(report, last={0: 39}) for name, report in run.reports.items()}


def test_cassandra_that_does_not_answer_says_what_waits_from_memory() -> None:
    memory = OfPipeline()
    picture(held((0, 100)), DONE, memory=memory)
    seen = picture(held((0, 3_304)), None, memory=memory, cassandra=silent(12))
    assert (seen.state, seen.kafka.passed_from) == (State.BROKEN, "memory")
    assert seen.sentence == ("Cassandra has not answered for 12 s; 3,204 records wait in Kafka; nothing is lost.")


def test_cassandra_that_never_answered_leaves_open_what_waits() -> None:
    seen = picture(held((0, 100)), None, cassandra=silent())
    assert "Cassandra does not answer; how many records wait in Kafka is not known" in seen.sentence
    assert "nothing is lost" not in seen.sentence


def test_kafka_that_does_not_answer_promises_nothing() -> None:
    seen = picture(None, DONE, kafka=silent(130))
    assert (seen.state, seen.sentence) == (State.BROKEN, "Kafka has not answered for 2 min.")


def test_servers_that_fail_in_the_same_way_share_a_clause() -> None:
    seen = picture(None, None, kafka=silent(), cassandra=silent())
    assert seen.sentence == "Kafka and Cassandra do not answer."


def test_server_that_restarts_says_so() -> None:
    seen = picture(held((0, 100)), DONE, stream=silent(5, "restarting"))
    assert seen.sentence == "The stream is restarting; nothing waits in Kafka; nothing is lost."


def test_part_of_a_stack_is_no_alarm() -> None:
    seen = picture(held((0, 100)), DONE, stream=ABSENT)
    assert (seen.state, seen.sentence) == (State.WARNING, "The stream is not started; nothing waits in Kafka.")


def test_nothing_started() -> None:
    seen = picture(None, None, kafka=ABSENT, cassandra=ABSENT, stream=ABSENT, airflow=ABSENT)
    assert seen.state is State.ABSENT
    assert "`penstock up`" in seen.sentence


def test_run_that_does_not_balance_comes_before_what_flows() -> None:
    seen = picture(held((0, 300)), counted(98, 100, {0: 99}))
    assert (seen.state, seen.runs[0].state) == (State.BROKEN, "does not balance")
    assert seen.sentence.startswith("Run of 27 Nov does not balance: the stream has passed 2 items that are neither")
    assert "nothing is lost" not in seen.sentence


def test_what_kafka_deleted_unread_is_said() -> None:
    seen = picture(held((150, 200)), DONE)
    assert (seen.state, seen.kafka.deleted_unread) == (State.BROKEN, 50)
    assert seen.sentence.startswith("Kafka has deleted 50 offsets of users_created before the stream passed them")


def test_airflow_that_does_not_answer_is_a_warning_and_the_flow_is_told_too() -> None:
    seen = picture(held((0, 100)), DONE, airflow=silent(12))
    assert seen.state is State.WARNING
    assert seen.sentence == "Airflow has not answered for 12 s; no run begins; nothing waits in Kafka."


def test_scheduler_that_is_ill_is_said_although_airflow_answers() -> None:
    seen = picture(held((0, 100)), DONE, scheduled(unhealthy=("scheduler",)))
    assert seen.sentence.startswith("Airflow says that its scheduler is ill; no run begins")


def test_run_that_failed_in_airflow() -> None:
    seen = picture(held((0, 100)), DONE, scheduled("failed"))
    assert seen.state is State.WARNING
    assert seen.sentence.startswith("Run of 27 Nov failed in Airflow 3 min ago; nothing waits in Kafka; run again")


def test_run_that_airflow_has_begun_and_of_which_nothing_came_yet() -> None:
    seen = picture(held((0, 100)), DONE, scheduled("running"))
    assert seen.state is State.FLOWING
    assert seen.sentence.startswith("Run of 27 Nov is running in Airflow; nothing waits in Kafka")


def test_paused_dag_is_said() -> None:
    assert "the DAG user_info is paused" in picture(held((0, 100)), DONE, scheduled(paused=True)).sentence


def test_nothing_fetched_yet() -> None:
    seen = picture(Held("", {}, {}, 0), Counted({}))
    assert seen.sentence == "Nothing has been fetched yet; the next run begins in 10 h."


def test_partition_that_is_never_read_is_a_standstill() -> None:
    """What too few slots of Spark look like: the others go on, and no error is told."""
    memory, spans = OfPipeline(), held((0, 50), (0, 50))
    memory.passed(spans, DONE, {})
    for minute, passed in enumerate((10, 20, 30, 40)):
        at = AT - timedelta(minutes=3 - minute)
        memory.partitions(spans, Passed({0: passed}, "counts"), at, moves=True)
    seen = picture(spans, counted(40, 100, {0: 40}), memory=memory)
    assert seen.state is State.BROKEN
    assert seen.sentence.startswith(
        "The stream answers, but has taken nothing of partition 1 for 3 min: 50 records wait there"
    )


def test_partition_does_not_stand_still_while_a_server_is_away() -> None:
    memory, spans, passed = OfPipeline(), held((0, 50)), Passed({0: 10}, "memory")
    memory.partitions(spans, passed, AT - timedelta(minutes=9), moves=False)
    [part] = memory.partitions(spans, passed, AT, moves=True)
    assert (part.waiting, part.still_since) == (39, None)


def test_time_of_the_oldest_is_read_once_for_each_place() -> None:
    memory, spans, passed = OfPipeline(), held((0, 50), (0, 50)), Passed({0: 9, 1: 49}, "counts")
    unread = memory.unread(spans, passed)
    assert unread == {0: Offsets(10, 50)}
    memory.remember_oldest(unread, {0: AT})
    assert memory.unread(spans, passed) == {}
    assert [part.oldest_at for part in memory.partitions(spans, passed, AT, moves=True)] == [AT, None]
    assert memory.unread(spans, Passed({0: 10, 1: 49}, "counts")) == {0: Offsets(11, 50)}


def test_topic_that_was_made_again_is_not_measured_by_the_old_one() -> None:
    memory = OfPipeline()
    memory.passed(held((0, 100)), DONE, {})
    assert memory.passed(Held("2", {}, {}, 0), None, {}).position is None


def test_without_the_counts_the_checkpoint_tells(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint" / "users"
    for name, text in (("commits/6", "{}"), ("commits/7", "{}"), ("offsets/7", ends(40)), ("offsets/8", ends(90))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    spark = SETTINGS.spark.model_copy(update={"checkpoint": str(tmp_path / "checkpoint")})
    committed = position(SETTINGS.model_copy(update={"spark": spark}), USERS)
    assert committed == {0: 39}
    assert OfPipeline().passed(held((0, 100)), None, committed) == Passed({0: 39}, "checkpoint")


def ends(offset: int) -> str:
    return "v1\n{}\n" + json.dumps({USERS.topic: {"0": offset, "1": 0}})


@pytest.mark.parametrize("text", ["", "v1\n{}\nnot JSON", "v1\n{}\n{}"])
def test_checkpoint_that_cannot_be_read_tells_nothing(tmp_path: Path, text: str) -> None:
    for name, what in (("commits/7", "{}"), ("offsets/7", text)):
        (tmp_path / "users" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "users" / name).write_text(what)
    spark = SETTINGS.spark.model_copy(update={"checkpoint": str(tmp_path)})
    assert position(SETTINGS.model_copy(update={"spark": spark}), USERS) == {}


def service(name: str, state: Phase) -> ServiceState:
    return ServiceState(name=name, state=state, ports={}, log=Path("log"))


def test_server_of_the_local_stack_that_was_stopped_is_absent() -> None:
    stopped, ready = service("kafka", Phase.STOPPED), service("kafka", Phase.READY)
    assert standing("kafka", "refused", [stopped], SETTINGS) is Standing.ABSENT
    assert standing("kafka", "timed out", [ready], SETTINGS) is Standing.SILENT
    assert standing("kafka", "refused", [], SETTINGS) is Standing.ABSENT
    assert standing("kafka", "", [], SETTINGS) is Standing.ANSWERS


def test_server_elsewhere_is_silent_and_a_stream_elsewhere_is_unknown() -> None:
    kafka = SETTINGS.kafka.model_copy(update={"bootstrap_servers": "kafka1:9092"})
    spark = SETTINGS.spark.model_copy(update={"master": "spark://elsewhere:7077"})
    settings = SETTINGS.model_copy(update={"kafka": kafka, "spark": spark})
    assert standing("kafka", "refused", [], settings) is Standing.SILENT
    assert standing("stream", "refused", [], settings) is Standing.UNKNOWN


def test_phase_of_several_is_the_first_that_is_not_ready() -> None:
    parts = [service("airflow-api-server", Phase.READY), service("airflow-scheduler", Phase.RESTARTING)]
    assert (phase("airflow", parts), phase("kafka", parts)) == ("restarting", "")


def test_silence_counts_from_the_first_look_or_the_launchers_word() -> None:
    silences, later = Silences(), AT + timedelta(seconds=9)
    assert silences.since("kafka", AT, [], silent=True) == AT
    assert silences.since("kafka", later, [], silent=True) == AT
    assert silences.since("kafka", later, [AT - timedelta(seconds=3)], silent=True) == AT - timedelta(seconds=3)
    assert silences.since("kafka", later, [], silent=False) is None
    assert silences.since("kafka", later, [], silent=True) == later


class Letters:
    """A dead-letter topic of one partition; counts the messages that were read."""

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self.read_count = 0

    def offsets(self, topic: str) -> dict[int, Offsets]:
        assert topic == USERS.dead_letter_topic
        return {0: Offsets(0, len(self.messages))}

    def read(
        self, topic: str, *, start: Mapping[int, int] | None = None, end: Mapping[int, int] | None = None
    ) -> Iterator[Received]:
        for message in self.messages[(start or {}).get(0, 0) : (end or {})[0]]:
            self.read_count += 1
            yield message

    def add(self, key: str, **headers: str) -> None:
        named = {Header[name]: text for name, text in headers.items()}
        offset = len(self.messages)
        self.messages.append(Received(USERS.dead_letter_topic, 0, offset, key.encode(), b"{", named, 0))


def test_reasons_are_those_of_open_letters_and_each_message_is_read_once() -> None:
    letters, reasons = Letters(), Reasons(USERS.dead_letter_topic)
    letters.add("t/0/1", REASON=Reason.MISSING_FIELD)
    letters.add("t/0/1", REASON=Reason.MISSING_FIELD)  # a micro-batch that was done again
    letters.add("t/0/2", REASON=Reason.NOT_UTF8)
    assert reasons.refresh(letters) == {Reason.MISSING_FIELD: 1, Reason.NOT_UTF8: 1}
    letters.add(letter_id(b"t/0/2", b"{"), RESOLVED="t/0/9")
    assert reasons.refresh(letters) == {Reason.MISSING_FIELD: 1}
    assert letters.read_count == 4


def test_of_many_letters_only_the_newest_are_read() -> None:
    letters, reasons = Letters(), Reasons(USERS.dead_letter_topic)
    for number in range(NEWEST + 500):
        letters.add(f"t/0/{number}", REASON=Reason.NOT_UTF8 if number >= 500 else Reason.NO_VALUE)
    assert reasons.refresh(letters) == {Reason.NOT_UTF8: NEWEST}
    assert (letters.read_count, reasons.messages) == (NEWEST, NEWEST)


def test_letters_of_a_topic_that_was_made_again_are_read_anew() -> None:
    letters, reasons = Letters(), Reasons(USERS.dead_letter_topic)
    for number in range(3):
        letters.add(f"t/0/{number}", REASON=Reason.NO_VALUE)
    reasons.refresh(letters)
    letters.messages.clear()
    letters.add("t/0/7", REASON=Reason.NOT_UTF8)
    assert reasons.refresh(letters) == {Reason.NOT_UTF8: 1}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0.0 s"), (0.42, "0.4 s"), (12, "12 s"), (300, "5 min"), (7_300, "2 h"), (86_400 * 4, "4 days")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (RUN, "run of 27 Nov"),
        ("manual__2025-03-12T14:30:00+00:00", "run of 12 Mar 14:30"),
        ("mine", "run mine"),
        ("", "messages of no run"),
    ],
)
def test_runs_are_called_by_their_date(run: str, text: str) -> None:
    assert called(run) == text


def test_json_has_the_sums_and_is_the_picture_again() -> None:
    part = picture(held((0, 12_345), missing_field=3), counted(11_243, 12_345, {0: 11_242}))
    text = Overview(at=AT, pipelines=(part,), services=()).to_json()
    [found] = json.loads(text)["pipelines"]
    assert (found["kafka"]["waiting"], found["state"], found["letters"]["by_reason"]) == (
        1_102,
        "flowing",
        {"missing_field": 3},
    )


def nowhere(folder: Path) -> Settings:
    """Of a project in that folder, whose stack was never started."""
    names = list(Ports.model_fields)
    ports = Ports.model_validate(dict(zip(names, free_ports(len(names)), strict=True)))
    return Settings(home=folder / "home", project=str(folder), ports=ports).resolved()


def test_one_pipeline_after_the_other_and_nothing_is_made_where_nothing_runs(tmp_path: Path) -> None:
    settings = nowhere(tmp_path)
    other = USERS.model_copy(update={"name": "others"})
    with Observer(settings, [USERS, other]) as observer:
        seen = observer.look()
    assert [(part.name, part.state) for part in seen.pipelines] == [("users", "absent"), ("others", "absent")]
    assert not (tmp_path / "home").exists()


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_server_that_is_slow_gives_its_last_answer_until_the_patience_is_over() -> None:
    clock, going_on, answers = Clock(), threading.Event(), iter(({"users": 1}, {"users": 2}, {"users": 3}))

    def ask() -> Mapping[str, int]:
        found = next(answers)
        if found["users"] == 2:
            going_on.wait(TIMEOUT_S)
        return found

    asked = Asked(ask, 5.0, clock)
    with ThreadPoolExecutor(1) as threads:
        assert look(asked, threads).values == {"users": 1}
        clock.now_s = 100.0
        assert look(asked, threads).values == {"users": 1}
        assert not asked.is_idle
        clock.now_s = 105.1
        assert look(asked, threads) == Answer({}, "no answer within 5 s")
        going_on.set()
        until(lambda: look(asked, threads).values == {"users": 2})
        clock.now_s = 200.0
        assert look(asked, threads).values == {"users": 3}


def look(asked: Asked, threads: ThreadPoolExecutor) -> Answer:
    asked.begin(threads)
    return asked.answer()


def test_what_takes_long_to_ask_is_asked_less_often_and_what_fails_is_asked_at_once() -> None:
    clock, fails, count = Clock(), [False], [0]

    def ask() -> Mapping[str, int]:
        count[0] += 1
        clock.now_s += 0.1
        if fails[0]:
            raise StoreError("down")
        return {"users": count[0]}

    asked = Asked(ask, 5.0, clock)
    with ThreadPoolExecutor(1) as threads:
        for second in (0.0, 1.0, 2.0, 2.2):  # 0.1 s are a twentieth of 2 s
            clock.now_s = second
            look(asked, threads)
        assert count == [2]
        fails[0] = True
        for second in (10.0, 10.2, 10.4):
            clock.now_s = second
            assert look(asked, threads).problem == "down"
        assert count == [5]


def test_defect_of_ours_is_raised_once_and_does_not_keep_the_server_from_being_asked() -> None:
    answers = iter([TimeoutError("of a socket"), {"users": 1}])

    def ask() -> Mapping[str, int]:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    asked = Asked(ask, 5.0)
    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(TimeoutError):
            look(asked, threads)
        assert look(asked, threads).values == {"users": 1}


def test_pipelines_that_are_added_break_and_go_are_followed(tmp_path: Path) -> None:
    settings, clock = nowhere(tmp_path), Clock()
    broken = tmp_path / "pipelines" / "second.py"
    declare(tmp_path, "first")
    with ProjectObserver(settings, now_s=clock) as observer:
        assert [part.name for part in observer.look().pipelines] == ["first"]
        declare(tmp_path, "second")
        assert [part.name for part in observer.look().pipelines] == ["first", "second"]
        broken.write_text("X = 1 +")
        seen = observer.look()
        assert [part.name for part in seen.pipelines] == ["first", "second"]
        assert [each.place for each in seen.refused] == [str(broken)]
        broken.unlink()
        seen = observer.look()
        assert ([part.name for part in seen.pipelines], seen.refused, list(observer.pipelines)) == (
            ["first"],
            (),
            ["first"],
        )


def test_pipeline_that_the_stream_gave_up_is_told_with_its_reason() -> None:
    failure = {**silent(30), "failure": "topic users_created is not there"}
    part = picture(held((0, 100)), DONE, stream=failure)
    assert part.state == "broken"
    assert part.sentence.startswith(
        "The stream does not carry this pipeline: topic users_created is not there; nothing "
    )
