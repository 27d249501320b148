"""Topics: made on purpose, never changed."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # exported by `import` only
from confluent_kafka.cimpl import NewTopic
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_delay, wait_fixed

from penstock.broker.client import LARGEST_LETTER_BYTES, LARGEST_MESSAGE_BYTES, Client
from penstock.config import KafkaSettings
from penstock.contract import Pipeline
from penstock.errors import BrokerError

log = logging.getLogger(__name__)

_HOUR_MS = 3_600_000
_FOREVER_MS = -1


@dataclass(frozen=True)
class View:
    """A cluster: its brokers by number with the address that each gives clients, and topics with their copies."""

    brokers: Mapping[int, tuple[str, int]]
    replicas: Mapping[str, int]
    """Topic -> copies of its partition that has fewest."""


class Topics:
    """Looks at the topics of a cluster and makes those that are absent."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Kept for life: a client that is collected takes the futures of its requests with it. librdkafka leaves the
        # address that was set for those that the brokers give. Where these lead nowhere, it comes back between two
        # attempts: seconds with its own pauses (100 ms, doubled each time), and a tenth of one with these.
        self._admin = AdminClient(client.options(reconnect_backoff_ms=10, reconnect_backoff_max_ms=100))

    def ensure(self, pipeline: Pipeline, settings: KafkaSettings) -> dict[str, list[int]]:
        """Makes what is absent; returns topic -> partitions. They may not be writable yet, see `read.held`."""
        wanted = {topic.topic: topic for topic in _wanted(pipeline, settings)}
        found = self.partitions(wanted)
        self._create([topic for name, topic in wanted.items() if found[name] is None])
        for name, partitions in found.items():
            if partitions is not None and len(partitions) < wanted[name].num_partitions:
                _warn_of_few(wanted[name], len(partitions))
        return self._known(wanted)

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
            found = self._admin.list_topics(timeout=self._client.limit_s)
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
        answers = self._admin.describe_configs(asked, request_timeout=self._client.limit_s)
        doing, refused = "asking brokers for their versions", KafkaError.CLUSTER_AUTHORIZATION_FAILED
        return {int(one.name): _version(self._answer(doing, answers[one], refused) or {}) for one in asked}

    def identity(self, topic: str) -> str:
        """What tells the topic from one of the same name that was made later; empty where there is none."""
        found = self._described([topic])[topic]
        return "" if found is None else str(found.topic_id)

    def _described(self, topics: Iterable[str]) -> dict[str, Any]:
        names = list(topics)
        asked = self._admin.describe_topics(TopicCollection(names), request_timeout=self._client.limit_s)
        doing = f"asking for topics {', '.join(names)}"
        return {name: self._answer(doing, asked[name], KafkaError.UNKNOWN_TOPIC_OR_PART) for name in names}

    def _create(self, topics: list[NewTopic]) -> None:
        if not topics:
            return
        made = self._admin.create_topics(topics, request_timeout=self._client.limit_s)
        for topic in topics:
            self._answer(f"creating topic {topic.topic}", made[topic.topic], KafkaError.TOPIC_ALREADY_EXISTS)
            log.info("topic %s: created with %d partitions", topic.topic, topic.num_partitions)

    def _known(self, topics: Iterable[str]) -> dict[str, list[int]]:
        """The partitions as soon as every topic is known to the broker that is asked; a new one takes its time."""

        def give_up(_: RetryCallState) -> NoReturn:
            raise BrokerError(
                f"{self._client.address} does not know {', '.join(topics)} {self._client.limit_s:.0f} s after making "
                "them. Is every broker of the cluster up? See its log (`penstock logs kafka`)."
            )

        found = Retrying(
            retry=retry_if_result(lambda found: None in found.values()),
            stop=stop_after_delay(self._client.limit_s),
            wait=wait_fixed(0.05),
            retry_error_callback=give_up,
        )(self.partitions, topics)
        return {name: partitions for name, partitions in found.items() if partitions is not None}

    def _answer(self, doing: str, future: Future[Any], expected: int) -> Any:
        """What a request gave; None where it failed in the `expected` way."""
        try:
            return future.result()
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() == expected:
                return None
            self._admin.poll(0)  # serves the callback that keeps the cause
            raise self._client.error(doing, error) from exception


def _wanted(pipeline: Pipeline, settings: KafkaSettings) -> list[NewTopic]:
    # One broker may be lost without stopping the producers, as soon as there are three copies.
    in_sync = max(1, settings.replication_factor - 1)

    def topic(name: str, partitions: int, retention_ms: int, largest_bytes: int) -> NewTopic:
        config = {
            "cleanup.policy": "delete",
            "retention.ms": str(retention_ms),
            "max.message.bytes": str(largest_bytes),
            "min.insync.replicas": str(in_sync),
        }
        return NewTopic(name, partitions, settings.replication_factor, config=config)

    return [
        topic(pipeline.topic, settings.partitions, settings.retention_hours * _HOUR_MS, LARGEST_MESSAGE_BYTES),
        topic(pipeline.dead_letter_topic, 1, _FOREVER_MS, LARGEST_LETTER_BYTES),
    ]


def _warn_of_few(wanted: NewTopic, partitions: int) -> None:
    log.warning(
        "topic %s has %d partitions, kafka.partitions asks for %d: it stays as it is, because more would move keys "
        "from one partition to another. If you want that, Kafka's own kafka-topics --alter does it.",
        *(wanted.topic, partitions, wanted.num_partitions),
    )


def _version(configuration: Mapping[str, Any]) -> str:
    # https://kafka.apache.org/40/getting-started/upgrade/: removed in 4.0, which knows KRaft only.
    if "inter.broker.protocol.version" in configuration:
        return str(configuration["inter.broker.protocol.version"].value)
    return "4.0 or newer" if "process.roles" in configuration else ""
