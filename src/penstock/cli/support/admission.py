"""Lets the clients of a secure stack in: topics and tables made, credentials and rights given, by the administrator.

The rights stand in Kafka and Cassandra, so a stack that is restarted has them. Done again, it changes what has changed:
a pipeline that was added, or a table of rights that is another one.
"""

import logging
from collections.abc import Callable, Collection, Iterable

from penstock.cassandra import Counts, Store
from penstock.cassandra import access as in_cassandra
from penstock.config import Settings
from penstock.errors import PenstockError, StoreError, TopicError
from penstock.kafka import Broker
from penstock.kafka.access import Access
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import declarations
from penstock.servers.access import as_principal, secrets_of
from penstock.servers.principals import IN_KAFKA, WITH_PASSWORD, Part, Principal, acls, grants

log = logging.getLogger(__name__)

KAFKA, CASSANDRA = "kafka", "cassandra"
STORES = (KAFKA, CASSANDRA)
"""The services that ask who calls."""


def admit(settings: Settings, running: Collection[str]) -> None:
    """Every client into those of the `STORES` that run; a pipeline that cannot have its topic or table is logged.

    Raises:
        BrokerError, StoreError: one of them does not answer, or does not know the administrator.
    """
    admin = as_principal(settings, Principal.ADMIN)
    pipelines = [each.pipeline for each in declarations(settings) if each.pipeline]
    words = {name: word.get_secret_value() for name, word in secrets_of(settings).now.items()}
    if KAFKA in running:
        access = Access(admin.kafka)
        access.let_in({name: words[name] for name in IN_KAFKA})
        with Broker(admin.kafka) as broker:
            ready = [each for each in pipelines if _made(each, broker.ensure_topics)]
        access.allow(IN_KAFKA, acls(_parts(ready)))
    if CASSANDRA in running:
        in_cassandra.take_over(admin.cassandra)
        with Store(admin.cassandra) as store:
            others = [name for name in WITH_PASSWORD if name != Principal.ADMIN]
            in_cassandra.let_in(store, [as_principal(settings, name).cassandra for name in others])
            ready = [each for each in pipelines if _made(each, lambda one: _make_tables(store, one))]
            in_cassandra.allow(store, others, grants(_parts(ready)))
    log.info("let in %s, for %s", ", ".join(WITH_PASSWORD), ", ".join(each.name for each in pipelines))


def _made(pipeline: Pipeline, make: Callable[[Pipeline], None]) -> bool:
    """Where it fails, the other pipelines are to be carried all the same."""
    refused: PenstockError | None = None
    try:
        make(pipeline)
    except (TopicError, StoreError) as error:
        refused = error
    if refused:
        log.error("pipeline %s gets no rights: %s", pipeline.name, refused)
    return not refused


def _make_tables(store: Store, pipeline: Pipeline) -> None:
    store.ensure_table(pipeline)
    Counts(store, pipeline).ensure()


def _parts(pipelines: Iterable[Pipeline]) -> list[Part]:
    return [Part(one.topic, one.dead_letter_topic, one.keyspace, one.table) for one in pipelines]
