"""Kafka: is it there, are its addresses good from here, are its topics such that the promise can hold."""

import socket
from collections.abc import Iterator, Mapping, Sequence

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from penstock.config import KafkaSettings, Settings
from penstock.doctor.finding import Finding, failed, fine, note
from penstock.doctor.reach import TIMEOUT_S
from penstock.doctor.versions import KAFKA, Line
from penstock.errors import BrokerError
from penstock.kafka import Broker, Flaw, View
from penstock.network.listening import problem
from penstock.pipelines.contract import Pipeline

_ATTEMPTS = 4
"""Each with a client of its own. One that was sent to misleading addresses calls these again and again, with longer and
longer pauses, before it asks the address that was set: on a busy machine that took longer than 15 s.
"""


def kafka(settings: Settings, pipeline: Pipeline, line: Line = KAFKA) -> Iterator[Finding]:
    """Checks a Kafka that runs: its brokers, their versions, the pipeline's topics."""
    asked = settings.kafka.model_copy(update={"delivery_timeout_s": TIMEOUT_S})
    topics = [pipeline.topic, pipeline.dead_letter_topic]
    attempts = Retrying(retry=retry_if_exception_type(BrokerError), stop=stop_after_attempt(_ATTEMPTS), reraise=True)
    try:
        view, lost, versions, flaws = attempts(_answers, asked, pipeline, topics)
    except BrokerError as error:
        yield failed("kafka", str(error), "Compare kafka.security_protocol, sasl_… and ssl_… with the broker's")
        return
    yield fine("kafka", f"{len(view.brokers)} broker(s) at {settings.kafka.bootstrap_servers}")
    yield from _listeners(view, lost)
    yield from _versions(versions, line)
    wanted = settings.kafka.replication_factor
    if wanted > len(view.brokers):
        what = f"kafka.replication_factor is {wanted}, but there are {len(view.brokers)} brokers: no topic can be made"
        yield failed("kafka replication", what, f"PENSTOCK_KAFKA_REPLICATION_FACTOR={len(view.brokers)}")
    for topic in topics:
        yield _topic(topic, view, wanted)
        yield from _properties(topic, flaws.get(topic, ()))


def _answers(
    asked: KafkaSettings, pipeline: Pipeline, topics: Sequence[str]
) -> tuple[View, dict[int, OSError], Mapping[int, str], Mapping[str, Sequence[Flaw] | None]]:
    """The cluster, its brokers that do not answer, the others' versions, and what is wrong with the topics."""
    with Broker(asked) as broker:
        view = broker.cluster(topics)
        lost = _lost(view)
        return view, lost, broker.versions(view.brokers.keys() - lost.keys()), {} if lost else broker.flaws(pipeline)


def _lost(view: View) -> dict[int, OSError]:
    """The brokers that do not answer where they tell clients to call, and why."""
    found = {}
    for number, address in sorted(view.brokers.items()):
        try:
            socket.create_connection(address, TIMEOUT_S).close()
        except OSError as error:
            found[number] = error
    return found


def _listeners(view: View, lost: Mapping[int, OSError]) -> Iterator[Finding]:
    for number, error in lost.items():
        host, port = view.brokers[number]
        yield failed(
            "kafka listeners",
            f"broker {number} tells clients to call {host}:{port}, where nothing answers from here: {problem(error)}",
            "Set that broker's advertised.listeners to an address that this machine reaches",
        )


def _versions(versions: Mapping[int, str], line: Line) -> Iterator[Finding]:
    for version in sorted(set(versions.values())):
        if version:
            yield line.judged("kafka version", version)
        else:
            yield note("kafka version", "not told: that needs the right DescribeConfigs on the cluster")


def _topic(topic: str, view: View, wanted: int) -> Finding:
    subject = f"topic {topic}"
    if topic not in view.replicas:
        return note(subject, "is not there yet; `penstock ingest` and `penstock stream` make it")
    copies = view.replicas[topic]
    if copies < wanted:
        return failed(
            subject,
            f"has {copies} copies of a partition, kafka.replication_factor asks for {wanted}",
            "Add copies with kafka-reassign-partitions, or set PENSTOCK_KAFKA_REPLICATION_FACTOR to what it has",
        )
    return fine(subject, f"{copies} {'copy' if copies == 1 else 'copies'}")


def _properties(topic: str, flaws: Sequence[Flaw] | None) -> Iterator[Finding]:
    subject = f"topic {topic}"
    if flaws is None:
        yield note(subject, "its properties are not told: that needs the right DescribeConfigs on it")
    for flaw in flaws or ():
        yield failed(subject, flaw.what, flaw.fix) if flaw.breaks else note(subject, flaw.what, flaw.fix)
