"""The overview of the running stack: a run that arrived, and a topic that nobody reads."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from penstock.audit import ledger
from penstock.audit.overview import Observer, Standing, State
from penstock.config import Settings
from penstock.ingest import run_ingest
from penstock.kafka import Broker, Message, Received
from penstock.pipelines.contract import Pipeline
from penstock.servers.secrets import with_credentials
from penstock.source import Interval
from rig.stacks import penstock
from tests.waiting import TIMEOUT_S

LONG_AGO = datetime(2025, 3, 12, 14, 30, tzinfo=UTC)


def message(topic: str, number: int) -> Message:
    return Message(topic, f"{number}".encode(), b"x" * 100_000, {}, LONG_AGO + timedelta(seconds=number))


def test_run_is_followed_to_its_rows_and_each_server_says_something(
    stack_settings: Settings, pipeline: Pipeline
) -> None:
    run = f"test__{uuid4()}"
    run_ingest(stack_settings, pipeline, run, Interval(datetime.now(UTC)), 50)
    ledger.wait_until_balanced(stack_settings, pipeline, run, TIMEOUT_S)
    answer = penstock(stack_settings, "overview", "--json")
    assert answer.returncode == 0, answer.stderr
    [seen] = json.loads(answer.stdout)["pipelines"]
    [found] = [each for each in seen["runs"] if each["run"] == run]
    assert (found["state"], found["equation"]) == ("balances", "fetched 50 = stored 50 + dead-lettered 0")
    servers = [seen[name] for name in ("airflow", "kafka", "stream", "cassandra")]
    assert [server["standing"] for server in servers] == ["answers"] * 4
    assert (seen["kafka"]["waiting"], seen["kafka"]["passed_from"]) == (0, "counts")
    assert seen["stream"]["batch"] >= 0
    assert seen["stream"]["batch_s"] is not None
    assert seen["airflow"]["next_run_at"] or seen["airflow"]["paused"]


def test_of_what_waits_the_oldest_is_known_from_kafka_for_each_of_several_pipelines(
    stack_settings: Settings, pipeline: Pipeline, broker: Broker
) -> None:
    topic = f"t{uuid4().hex}"
    unread = pipeline.model_copy(update={"name": "unread", "topic": topic, "table": topic})
    broker.ensure_topics(unread)
    broker.publish(message(topic, number) for number in range(60))
    with Observer(with_credentials(stack_settings), [pipeline, unread]) as observer:
        users, seen = observer.look().pipelines
    assert users.stream.standing is Standing.ANSWERS
    assert (seen.state, seen.kafka.waiting, seen.kafka.oldest_at) == (State.BROKEN, 60, LONG_AGO)
    firsts = {part.number: part.oldest_at for part in seen.kafka.partitions}
    assert firsts == {number: first.timestamp for number, first in heads(broker, topic).items()}
    assert "no query of pipeline unread runs" in seen.stream.problem


def heads(broker: Broker, topic: str) -> dict[int, Received]:
    """By reading all."""
    found: dict[int, Received] = {}
    for each in broker.read(topic):
        found.setdefault(each.partition, each)
    return found
