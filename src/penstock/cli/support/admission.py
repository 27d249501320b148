"""Lets the clients of a secure stack in: topics and tables made, credentials and rights given, by the administrator.

The rights stand in Kafka and Cassandra, so a stack that is restarted has them. Done again, it changes what has changed:
a pipeline that was added, or a table of rights that is another one.
"""

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager

from penstock.cassandra import Counts, Store
from penstock.cassandra import access as in_cassandra
from penstock.config import CassandraSettings, Settings
from penstock.errors import PenstockError, StoreError, TopicError
from penstock.kafka import Broker
from penstock.kafka.access import Access
from penstock.locks import held
from penstock.pipelines.contract import Pipeline
from penstock.pipelines.project import declarations
from penstock.servers.access import as_principal, cassandra_settings, secrets_of
from penstock.servers.principals import IN_KAFKA, WITH_PASSWORD, Part, Principal, acls, grants
from penstock.servers.secrets import Passwords

log = logging.getLogger(__name__)

KAFKA, CASSANDRA = "kafka", "cassandra"
STORES = (KAFKA, CASSANDRA)
"""The services that ask who calls."""


def alone(settings: Settings) -> AbstractContextManager[None]:
    """One process at a time gives the clients passwords: of two, the second one would give what counts no longer."""
    (settings.home / "run").mkdir(parents=True, exist_ok=True)
    return held(settings.home / "run" / "admission.lock", timeout_s=None)


def admit(settings: Settings, running: Collection[str]) -> None:
    """Every client into those of the `STORES` that run; a pipeline that cannot have its topic or table is logged.

    Waits for a rotation that gives them new passwords. One that was killed is taken back: the passwords that count are
    given again, and it may be called again.

    Raises:
        BrokerError, StoreError: one of them does not answer, or does not know the administrator.
    """
    with alone(settings):
        _admit(settings, running)


def _admit(settings: Settings, running: Collection[str]) -> None:
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
        _take_back_the_administrator(settings)
        in_cassandra.take_over(admin.cassandra)
        with Store(admin.cassandra) as store:
            others = [name for name in WITH_PASSWORD if name != Principal.ADMIN]
            in_cassandra.let_in(store, [as_principal(settings, name).cassandra for name in others])
            ready = [each for each in pipelines if _made(each, lambda one: _make_tables(store, one))]
            in_cassandra.allow(store, others, grants(_parts(ready)))
    log.info("let in %s, for %s", ", ".join(WITH_PASSWORD), ", ".join(each.name for each in pipelines))


def _take_back_the_administrator(settings: Settings) -> None:
    known = secrets_of(settings)
    found = administrator(settings, known) if known.coming else None
    now = cassandra_settings(settings, Principal.ADMIN, known.now[Principal.ADMIN])
    if found is None or found == now:
        return
    with Store(found) as store:
        in_cassandra.give_password(store, now)
    in_cassandra.await_password(now)


def administrator(settings: Settings, known: Passwords) -> CassandraSettings | None:
    """With the password that Cassandra takes; a rotation that was killed may have given it the new one."""
    for words in (known.now, known.coming):
        found = cassandra_settings(settings, Principal.ADMIN, words[Principal.ADMIN])
        if in_cassandra.is_let_in(found):
            return found
    return None


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
