"""Topics: made on purpose, never changed, and refused where the promise cannot hold."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # exported by `import` only
from confluent_kafka.cimpl import NewTopic
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

from penstock.config import KafkaSettings
from penstock.errors import BrokerError, TopicError
from penstock.kafka.client import Client
from penstock.kafka.properties import Flaw, Wanted, flaws, wanted
from penstock.pipelines.contract import Pipeline

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """A cluster: its brokers by number with the address that each gives clients, and topics with their copies."""

    brokers: Mapping[int, tuple[str, int]]
    replicas: Mapping[str, int]
    """Topic -> copies of its partition that has fewest."""


class Administration:
    """Looks at the topics of a cluster and makes those that are absent."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Kept for life: a client that is collected takes the futures of its requests with it.
        self._admin = AdminClient(client.admin_options())

    def ensure(self, pipeline: Pipeline, settings: KafkaSettings) -> dict[str, list[int]]:
        """Makes what is absent; returns topic -> partitions. They may not be writable yet, see `read.held`.

        Raises:
            TopicError: a topic that is there has a property that breaks the promise.
        """
        asked = {topic.name: topic for topic in wanted(pipeline, settings)}
        there = self._there(asked)
        for name, found in self._flaws(asked, there).items():
            _refuse_or_warn(name, found)
            if len(there[name].partitions) < asked[name].partitions:
                _warn_of_few(asked[name], len(there[name].partitions))
        self._create([topic for name, topic in asked.items() if name not in there], settings.replication_factor)
        return self._known(asked)

    def flaws(self, pipeline: Pipeline, settings: KafkaSettings) -> dict[str, list[Flaw] | None]:
        """Topic -> what is wrong with it, None where its configuration is not shown to us; of those that are there."""
        asked = {topic.name: topic for topic in wanted(pipeline, settings)}
        return self._flaws(asked, self._there(asked))

    def partitions(self, topics: Iterable[str]) -> dict[str, list[int] | None]:
        """Topic -> its partitions, None where there is no such topic. Waits for a cluster that is not up yet."""
        return {
            name: None if topic is None else [partition.id for partition in topic.partitions]
            for name, topic in self._described(topics).items()
        }

    def cluster(self, topics: Iterable[str]) -> "View":
        """The cluster as the first broker that answers describes it; of these topics those that are there.

        The address that was set answers also where those that the brokers give lead nowhere.
        """
        try:
            found = self._admin.list_topics(timeout=self._client.timeout_s)
        except KafkaException as exception:
            self._admin.poll(0)  # serves the callback that keeps the cause
            raise self._client.error("asking for the cluster", exception.args[0]) from exception
        return View(
            brokers={number: (str(broker.host), broker.port) for number, broker in found.brokers.items()},
            replicas={
                name: min(len(partition.replicas) for partition in found.topics[name].partitions.values())
                for name in topics
                if name in found.topics
            },
        )

    def versions(self, brokers: Iterable[int]) -> dict[int, str]:
        """Broker -> the Kafka whose protocol it speaks, as far as it lets us see its configuration; else empty.

        Up to 3.9 that is a setting, e.g. 2.8-IV1; from 4.0 on there is none, and so "4.0 or newer".
        """
        asked = [ConfigResource(ConfigResource.Type.BROKER, str(number)) for number in brokers]
        if not asked:
            return {}
        answers = self._admin.describe_configs(asked, request_timeout=self._client.timeout_s)
        doing, refused = "asking brokers for their versions", KafkaError.CLUSTER_AUTHORIZATION_FAILED
        return {int(one.name): _version(self._answer(doing, answers[one], refused) or {}) for one in asked}

    def _there(self, topics: Iterable[str]) -> dict[str, Any]:
        return {name: topic for name, topic in self._described(topics).items() if topic is not None}

    def _flaws(self, asked: Mapping[str, Wanted], there: Mapping[str, Any]) -> dict[str, list[Flaw] | None]:
        copies = {name: min(len(part.replicas) for part in topic.partitions) for name, topic in there.items()}
        return {
            name: None if found is None else list(flaws(asked[name], found, copies[name]))
            for name, found in self._configurations(there).items()
        }

    def _configurations(self, topics: Iterable[str]) -> dict[str, dict[str, str] | None]:
        """Topic -> its configuration; None where it is not shown to us, or a broker does not know a new topic yet."""
        asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
        if not asked:
            return {}
        answers = self._admin.describe_configs(asked, request_timeout=self._client.timeout_s)
        expected = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART)
        found = {one.name: self._answer("asking for the topics' properties", answers[one], *expected) for one in asked}
        return {name: read and {key: str(one.value) for key, one in read.items()} for name, read in found.items()}

    def identity(self, topic: str) -> str:
        """Kafka's id of the topic, which one of the same name made later does not have; empty where there is none."""
        found = self._described([topic])[topic]
        return "" if found is None else str(found.topic_id)

    def _described(self, topics: Iterable[str]) -> dict[str, Any]:
        names = list(topics)
        asked = self._admin.describe_topics(TopicCollection(names), request_timeout=self._client.timeout_s)
        doing = f"asking for topics {', '.join(names)}"
        return {name: self._answer(doing, asked[name], KafkaError.UNKNOWN_TOPIC_OR_PART) for name in names}

    def _create(self, topics: list[Wanted], copies: int) -> None:
        if not topics:
            return
        new = [NewTopic(one.name, one.partitions, copies, config=dict(one.configuration)) for one in topics]
        made = self._admin.create_topics(new, request_timeout=self._client.timeout_s)
        for topic in topics:
            self._answer(f"creating topic {topic.name}", made[topic.name], KafkaError.TOPIC_ALREADY_EXISTS)
            log.info("topic %s: created with %d partitions", topic.name, topic.partitions)

    def _known(self, topics: Iterable[str]) -> dict[str, list[int]]:
        """The partitions as soon as every topic is known to the broker that is asked; a new one takes its time."""

        def give_up(_: RetryCallState) -> NoReturn:
            raise BrokerError(
                f"{self._client.address} does not know {', '.join(topics)} {self._client.timeout_s:.0f} s after making "
                "them. Is every broker of the cluster up? See its log (`penstock logs kafka`)."
            )

        found = Retrying(
            retry=retry_if_result(lambda found: None in found.values()),
            stop=stop_after_delay(self._client.timeout_s),
            wait=wait_fixed(0.05),
            retry_error_callback=give_up,
        )(self.partitions, topics)
        return {name: partitions for name, partitions in found.items() if partitions is not None}

    def _answer(self, doing: str, future: Future[Any], *expected: int) -> Any:
        """The result of a request; None where it failed with one of the `expected` error codes."""
        try:
            return future.result()
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() in expected:
                return None
            self._admin.poll(0)  # serves the callback that keeps the cause
            raise self._client.error(doing, error) from exception


def _refuse_or_warn(name: str, flawed: list[Flaw] | None) -> None:
    if flawed is None:
        log.warning(
            "topic %s: whether it is as it must be is not shown to us: that needs the right DescribeConfigs", name
        )
    for flaw in flawed or ():
        if flaw.breaks:
            raise TopicError(name, flaw.what, flaw.fix)
        log.warning("topic %s: %s. Correct it: %s", name, flaw.what, flaw.fix)


def _warn_of_few(wanted: Wanted, partitions: int) -> None:
    log.warning(
        "topic %s has %d partitions, kafka.partitions asks for %d: it stays as it is, because more would move keys "
        "from one partition to another. If you want that, Kafka's own kafka-topics --alter does it.",
        *(wanted.name, partitions, wanted.partitions),
    )


def _version(configuration: Mapping[str, Any]) -> str:
    # https://kafka.apache.org/40/getting-started/upgrade/: removed in 4.0, which knows KRaft only.
    if "inter.broker.protocol.version" in configuration:
        return str(configuration["inter.broker.protocol.version"].value)
    return "4.0 or newer" if "process.roles" in configuration else ""
